// Average pooling in three dimensions and its gradient.
//
// Forward, a thread has one window; backward, one element of the input, to which every window that holds it gives its
// share. So each place is written by one thread, and neighbouring threads read side by side.

__device__ REAL divisor(int a, int b, int e, int depth, int height, int width, int kernel_d, int kernel_h, int kernel_w,
                        int stride_d, int stride_h, int stride_w, int padding_d, int padding_h, int padding_w,
                        int include_padding, double divisor_override)
{
    // How many cells the window (a, b, e) counts: those in the padded input, or those in the input, or the override.
    if (divisor_override != 0)
        return (REAL)divisor_override;
    int z0 = a * stride_d - padding_d, y0 = b * stride_h - padding_h, x0 = e * stride_w - padding_w;
    int border_d = include_padding ? padding_d : 0, border_h = include_padding ? padding_h : 0;
    int border_w = include_padding ? padding_w : 0;
    int count_d = min(z0 + kernel_d, depth + border_d) - max(z0, -border_d);
    int count_h = min(y0 + kernel_h, height + border_h) - max(y0, -border_h);
    int count_w = min(x0 + kernel_w, width + border_w) - max(x0, -border_w);
    return (REAL)count_d * count_h * count_w;
}

extern "C" __global__ void avg_pool(
    long long size, REAL *y, const REAL *x, int depth, int height, int width, int out_d, int out_h, int out_w,
    int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h, int stride_w, int padding_d, int padding_h,
    int padding_w, int include_padding, double divisor_override)
{
    // size = planes · out_d · out_h · out_w
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int out = i % (out_d * out_h * out_w);
        int a = out / out_w / out_h, b = out / out_w % out_h, e = out % out_w;
        const REAL *plane = x + i / (out_d * out_h * out_w) * depth * height * width;
        int z0 = a * stride_d - padding_d, y0 = b * stride_h - padding_h, x0 = e * stride_w - padding_w;
        REAL sum = 0;
        for (int z = max(z0, 0); z < min(z0 + kernel_d, depth); z++)
            for (int v = max(y0, 0); v < min(y0 + kernel_h, height); v++)
                for (int u = max(x0, 0); u < min(x0 + kernel_w, width); u++)
                    sum += plane[((long long)z * height + v) * width + u];
        y[i] = sum / divisor(a, b, e, depth, height, width, kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w,
                             padding_d, padding_h, padding_w, include_padding, divisor_override);
    }
}

extern "C" __global__ void avg_pool_input_grad(
    long long size, REAL *gx, const REAL *gy, int depth, int height, int width, int out_d, int out_h, int out_w,
    int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h, int stride_w, int padding_d, int padding_h,
    int padding_w, int include_padding, double divisor_override)
{
    // size = planes · depth · height · width
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int at = i % (depth * height * width);
        const REAL *plane = gy + i / (depth * height * width) * out_d * out_h * out_w;
        int z = at / width / height + padding_d, y = at / width % height + padding_h, x = at % width + padding_w;
        int z0 = max(0, z - kernel_d + 1), y0 = max(0, y - kernel_h + 1), x0 = max(0, x - kernel_w + 1);
        REAL sum = 0;
        for (int a = (z0 + stride_d - 1) / stride_d; a < out_d && a * stride_d <= z; a++)
            for (int b = (y0 + stride_h - 1) / stride_h; b < out_h && b * stride_h <= y; b++)
                for (int e = (x0 + stride_w - 1) / stride_w; e < out_w && e * stride_w <= x; e++)
                    sum += plane[(a * out_h + b) * out_w + e]
                        / divisor(a, b, e, depth, height, width, kernel_d, kernel_h, kernel_w, stride_d, stride_h,
                                  stride_w, padding_d, padding_h, padding_w, include_padding, divisor_override);
        gx[i] = sum;
    }
}

extern "C" __global__ void adaptive_avg_pool(
    long long size, REAL *y, const REAL *x, int depth, int height, int width, int out_d, int out_h, int out_w)
{
    // The window of output o is ⌊o·length/out⌋ … ⌈(o + 1)·length/out⌉ − 1. size = planes · out_d · out_h · out_w
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int out = i % (out_d * out_h * out_w);
        const REAL *plane = x + i / (out_d * out_h * out_w) * depth * height * width;
        long long a = out / out_w / out_h, b = out / out_w % out_h, e = out % out_w;
        int z0 = a * depth / out_d, z1 = ((a + 1) * depth + out_d - 1) / out_d;
        int y0 = b * height / out_h, y1 = ((b + 1) * height + out_h - 1) / out_h;
        int x0 = e * width / out_w, x1 = ((e + 1) * width + out_w - 1) / out_w;
        REAL sum = 0;
        for (int z = z0; z < z1; z++)
            for (int v = y0; v < y1; v++)
                for (int u = x0; u < x1; u++)
                    sum += plane[((long long)z * height + v) * width + u];
        y[i] = sum / ((REAL)(z1 - z0) * (y1 - y0) * (x1 - x0));
    }
}

__device__ int adaptive_length(long long o, long long length, long long outs)
{
    return ((o + 1) * length + outs - 1) / outs - o * length / outs;
}

extern "C" __global__ void adaptive_avg_pool_input_grad(
    long long size, REAL *gx, const REAL *gy, int depth, int height, int width, int out_d, int out_h, int out_w)
{
    // Element z lies in the windows ⌊z·out/length⌋ … ⌈(z + 1)·out/length⌉ − 1. size = planes · depth · height · width
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int at = i % (depth * height * width);
        const REAL *plane = gy + i / (depth * height * width) * out_d * out_h * out_w;
        long long z = at / width / height, y = at / width % height, x = at % width;
        REAL sum = 0;
        for (int a = z * out_d / depth; a * (long long)depth < (z + 1) * out_d; a++)
            for (int b = y * out_h / height; b * (long long)height < (y + 1) * out_h; b++)
                for (int e = x * out_w / width; e * (long long)width < (x + 1) * out_w; e++)
                    sum += plane[(a * out_h + b) * out_w + e]
                        / ((REAL)adaptive_length(a, depth, out_d) * adaptive_length(b, height, out_h)
                           * adaptive_length(e, width, out_w));
        gx[i] = sum;
    }
}

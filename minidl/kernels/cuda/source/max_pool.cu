// Max pooling in three dimensions, where the maxima are, and their gradients.
//
// A thread has one window. Neighbouring threads have neighbouring windows, so what they read lies close together, and
// what windows share comes from the cache. An index is the position of an element in its plane (volume).

__device__ void find_largest(
    REAL *y, int *index, const REAL *plane, int height, int width, int z0, int y0, int x0, int z1, int y1, int x1,
    int step_z, int step_y, int step_x)
{
    // The largest of the elements z0, z0 + step_z, … < z1 and so on. The first of equals wins, and the last NaN.
    REAL best = 0;
    int at = -1;
    for (int a = z0; a < z1; a += step_z)
        for (int b = y0; b < y1; b += step_y)
            for (int e = x0; e < x1; e += step_x) {
                int here = (a * height + b) * width + e;
                REAL value = plane[here];
                if (at < 0 || value > best || value != value) {
                    best = value;
                    at = here;
                }
            }
    *y = best;
    *index = at;
}

extern "C" __global__ void max_pool(
    long long size, REAL *y, int *indices, const REAL *x, int depth, int height, int width, int out_d, int out_h,
    int out_w, int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h, int stride_w, int padding_d,
    int padding_h, int padding_w, int dilation_d, int dilation_h, int dilation_w)
{
    // size = planes · out_d · out_h · out_w. A window that begins in the padding begins at its first cell outside of it
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int out = i % (out_d * out_h * out_w);
        long long plane = i / (out_d * out_h * out_w);
        int z0 = out / out_w / out_h * stride_d - padding_d, z1 = z0 + (kernel_d - 1) * dilation_d + 1;
        int y0 = out / out_w % out_h * stride_h - padding_h, y1 = y0 + (kernel_h - 1) * dilation_h + 1;
        int x0 = out % out_w * stride_w - padding_w, x1 = x0 + (kernel_w - 1) * dilation_w + 1;
        z0 += z0 < 0 ? (-z0 + dilation_d - 1) / dilation_d * dilation_d : 0;
        y0 += y0 < 0 ? (-y0 + dilation_h - 1) / dilation_h * dilation_h : 0;
        x0 += x0 < 0 ? (-x0 + dilation_w - 1) / dilation_w * dilation_w : 0;
        find_largest(y + i, indices + i, x + plane * depth * height * width, height, width, z0, y0, x0,
                     min(z1, depth), min(y1, height), min(x1, width), dilation_d, dilation_h, dilation_w);
    }
}

extern "C" __global__ void adaptive_max_pool(
    long long size, REAL *y, int *indices, const REAL *x, int depth, int height, int width, int out_d, int out_h,
    int out_w)
{
    // The window of output o is ⌊o·length/out⌋ … ⌈(o + 1)·length/out⌉ − 1. size = planes · out_d · out_h · out_w
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int out = i % (out_d * out_h * out_w);
        long long plane = i / (out_d * out_h * out_w);
        long long a = out / out_w / out_h, b = out / out_w % out_h, e = out % out_w;
        int z0 = a * depth / out_d, z1 = ((a + 1) * depth + out_d - 1) / out_d;
        int y0 = b * height / out_h, y1 = ((b + 1) * height + out_h - 1) / out_h;
        int x0 = e * width / out_w, x1 = ((e + 1) * width + out_w - 1) / out_w;
        find_largest(y + i, indices + i, x + plane * depth * height * width, height, width, z0, y0, x0, z1, y1, x1,
                     1, 1, 1);
    }
}

extern "C" __global__ void max_pool_input_grad(
    long long size, REAL *gx, const REAL *gy, const int *indices, int depth, int height, int width, int out_d,
    int out_h, int out_w, int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h, int stride_w,
    int padding_d, int padding_h, int padding_w, int dilation_d, int dilation_h, int dilation_w)
{
    // A thread has one element of gx and looks through the windows that hold it, for those that it has won.
    // size = planes · depth · height · width
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int at = i % (depth * height * width);
        long long first = i / (depth * height * width) * out_d * out_h * out_w;
        int z = at / width / height + padding_d, y = at / width % height + padding_h, x = at % width + padding_w;
        int z0 = max(0, z - (kernel_d - 1) * dilation_d), y0 = max(0, y - (kernel_h - 1) * dilation_h);
        int x0 = max(0, x - (kernel_w - 1) * dilation_w);  // the first place where a window that holds it may begin
        SUM sum = 0;
        for (int a = (z0 + stride_d - 1) / stride_d; a < out_d && a * stride_d <= z; a++)
            for (int b = (y0 + stride_h - 1) / stride_h; b < out_h && b * stride_h <= y; b++)
                for (int e = (x0 + stride_w - 1) / stride_w; e < out_w && e * stride_w <= x; e++) {
                    long long out = first + (a * out_h + b) * out_w + e;
                    if (indices[out] == at)
                        sum += gy[out];
                }
        gx[i] = (REAL)sum;
    }
}

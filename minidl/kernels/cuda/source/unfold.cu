// Windows of an image as columns (im2col), and columns added back at their windows (col2im), in three dimensions.
//
// A column is the window of one sample at one position; positions first … first + count − 1 are done at once. The tap
// (u, v, w) of channel c is row r = ((c·kernel_d + u)·kernel_h + v)·kernel_w + w. It lies at
// columns[r·row_stride + n·sample_stride + position − first], so neighbouring threads, which have neighbouring
// positions, write side by side, and read side by side where the stride is 1.

extern "C" __global__ void unfold(
    long long size, REAL *columns, const REAL *x, int channels, int first, int count, long long row_stride,
    long long sample_stride, int depth, int height, int width, int out_h, int out_w, int kernel_d, int kernel_h,
    int kernel_w, int stride_d, int stride_h, int stride_w, int low_d, int low_h, int low_w, int dilation_d,
    int dilation_h, int dilation_w)
{
    // A thread has one position of one channel of one sample, and all taps there. size = samples · channels · count
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int position = i % count, plane = i / count;
        int n = plane / channels, c = plane % channels;
        int out = first + position;
        int z0 = out / out_w / out_h * stride_d - low_d;
        int y0 = out / out_w % out_h * stride_h - low_h;
        int x0 = out % out_w * stride_w - low_w;
        const REAL *image = x + (long long)plane * depth * height * width;
        long long row = (long long)c * kernel_d * kernel_h * kernel_w;
        REAL *column = columns + row * row_stride + n * sample_stride + position;
        for (int u = 0; u < kernel_d; u++)
            for (int v = 0; v < kernel_h; v++)
                for (int w = 0; w < kernel_w; w++) {
                    int a = z0 + u * dilation_d, b = y0 + v * dilation_h, e = x0 + w * dilation_w;
                    bool inside = 0 <= a && a < depth && 0 <= b && b < height && 0 <= e && e < width;
                    *column = inside ? image[((long long)a * height + b) * width + e] : (REAL)0;
                    column += row_stride;
                }
    }
}

extern "C" __global__ void fold(
    long long size, REAL *x, const REAL *columns, int channels, int first, int count, long long row_stride,
    long long sample_stride, int depth, int height, int width, int out_d, int out_h, int out_w, int kernel_d,
    int kernel_h, int kernel_w, int stride_d, int stride_h, int stride_w, int low_d, int low_h, int low_w,
    int dilation_d, int dilation_h, int dilation_w)
{
    // A thread has one element of x and collects what the windows that hold it have for it: no two threads write to
    // the same place, and the order of the sum is fixed. size = samples · channels · depth · height · width
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int volume = depth * height * width;
        int at = i % volume, plane = i / volume;
        int n = plane / channels, c = plane % channels;
        int z0 = at / width / height + low_d, y0 = at / width % height + low_h, x0 = at % width + low_w;
        long long row = (long long)c * kernel_d * kernel_h * kernel_w;
        const REAL *column = columns + row * row_stride + n * sample_stride;
        REAL sum = 0;
        for (int u = 0; u < kernel_d; u++)
            for (int v = 0; v < kernel_h; v++)
                for (int w = 0; w < kernel_w; w++, column += row_stride) {
                    int a = z0 - u * dilation_d, b = y0 - v * dilation_h, e = x0 - w * dilation_w;
                    if (a < 0 || b < 0 || e < 0 || a % stride_d || b % stride_h || e % stride_w)
                        continue;
                    a /= stride_d, b /= stride_h, e /= stride_w;
                    int position = (a * out_h + b) * out_w + e - first;
                    if (a < out_d && b < out_h && e < out_w && 0 <= position && position < count)
                        sum += column[position];
                }
        x[i] += sum;
    }
}

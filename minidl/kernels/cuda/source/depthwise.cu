// Depthwise convolution: each channel with kernels of its own, so there is no matrix product to make of it.
//
// Output channel o reads input channel o / multiplier. Threads that are neighbours in a block are neighbours in a row
// of the image, so they read side by side (where the stride is 1), and the few weights come from the cache.

extern "C" __global__ void depthwise_conv(
    long long size, REAL *y, const REAL *x, const REAL *w, int channels, int multiplier, int depth, int height,
    int width, int out_d, int out_h, int out_w, int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h,
    int stride_w, int low_d, int low_h, int low_w, int dilation_d, int dilation_h, int dilation_w)
{
    // A thread has one output. size = samples · channels · multiplier · out_d · out_h · out_w
    int positions = out_d * out_h * out_w, outputs = channels * multiplier;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int at = i % positions, plane = i / positions;
        int o = plane % outputs, n = plane / outputs;
        int z0 = at / out_w / out_h * stride_d - low_d;
        int y0 = at / out_w % out_h * stride_h - low_h;
        int x0 = at % out_w * stride_w - low_w;
        const REAL *image = x + ((long long)n * channels + o / multiplier) * depth * height * width;
        const REAL *tap = w + (long long)o * kernel_d * kernel_h * kernel_w;
        REAL sum = 0;
        for (int u = 0; u < kernel_d; u++)
            for (int v = 0; v < kernel_h; v++)
                for (int t = 0; t < kernel_w; t++, tap++) {
                    int a = z0 + u * dilation_d, b = y0 + v * dilation_h, e = x0 + t * dilation_w;
                    if (0 <= a && a < depth && 0 <= b && b < height && 0 <= e && e < width)
                        sum += *tap * image[((long long)a * height + b) * width + e];
                }
        y[i] = sum;
    }
}

extern "C" __global__ void depthwise_input_grad(
    long long size, REAL *gx, const REAL *gy, const REAL *w, int channels, int multiplier, int depth, int height,
    int width, int out_d, int out_h, int out_w, int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h,
    int stride_w, int low_d, int low_h, int low_w, int dilation_d, int dilation_h, int dilation_w)
{
    // A thread has one element of gx and collects from the outputs that have read it.
    int volume = depth * height * width, positions = out_d * out_h * out_w;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int at = i % volume, plane = i / volume;
        int c = plane % channels;
        int z0 = at / width / height + low_d, y0 = at / width % height + low_h, x0 = at % width + low_w;
        const REAL *grads = gy + (long long)plane * multiplier * positions;
        const REAL *tap = w + (long long)c * multiplier * kernel_d * kernel_h * kernel_w;
        REAL sum = 0;
        for (int m = 0; m < multiplier; m++, grads += positions)
            for (int u = 0; u < kernel_d; u++)
                for (int v = 0; v < kernel_h; v++)
                    for (int t = 0; t < kernel_w; t++, tap++) {
                        int a = z0 - u * dilation_d, b = y0 - v * dilation_h, e = x0 - t * dilation_w;
                        if (a < 0 || b < 0 || e < 0 || a % stride_d || b % stride_h || e % stride_w)
                            continue;
                        a /= stride_d, b /= stride_h, e /= stride_w;
                        if (a < out_d && b < out_h && e < out_w)
                            sum += *tap * grads[((long long)a * out_h + b) * out_w + e];
                    }
        gx[i] = sum;
    }
}

extern "C" __global__ void depthwise_weight_grad(
    REAL *gw, const REAL *x, const REAL *gy, int samples, int channels, int multiplier, int depth, int height,
    int width, int out_d, int out_h, int out_w, int kernel_d, int kernel_h, int kernel_w, int stride_d, int stride_h,
    int stride_w, int low_d, int low_h, int low_w, int dilation_d, int dilation_h, int dilation_w)
{
    // A block has one tap of one kernel, blockIdx.x = (o, u, v, t). Its threads share the outputs of all samples, and
    // add their sums up in a tree.
    __shared__ SUM sums[256];
    int t = blockIdx.x % kernel_w, v = blockIdx.x / kernel_w % kernel_h;
    int u = blockIdx.x / kernel_w / kernel_h % kernel_d, o = blockIdx.x / kernel_w / kernel_h / kernel_d;
    int positions = out_d * out_h * out_w;
    SUM sum = 0;
    for (long long i = threadIdx.x; i < (long long)samples * positions; i += blockDim.x) {
        int at = i % positions, n = i / positions;
        int a = at / out_w / out_h * stride_d - low_d + u * dilation_d;
        int b = at / out_w % out_h * stride_h - low_h + v * dilation_h;
        int e = at % out_w * stride_w - low_w + t * dilation_w;
        if (0 <= a && a < depth && 0 <= b && b < height && 0 <= e && e < width) {
            long long plane = (long long)n * channels + o / multiplier;
            REAL value = x[((plane * depth + a) * height + b) * width + e];
            sum += (SUM)value * gy[((long long)n * channels * multiplier + o) * positions + at];
        }
    }
    sums[threadIdx.x] = sum;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        gw[blockIdx.x] = sums[0];
}

// Regions of interest. RoIAlign is separable: each axis of each region has a table (bins, length) of the weights with
// which a bin samples the pixels, and the range of pixels that it reads.

extern "C" __global__ void roi_axis(
    long long size, REAL *weights, int *first, int *stop, const REAL *rois, int axis, int bins, int length, REAL scale,
    int ratio, int aligned)
{
    // A thread has one bin, and a row of the table, which starts as zeros. axis: 0 for x, 1 for y. size = regions · bins
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long k = i / bins;
        int bin = i - k * bins, from = length, to = 0;
        REAL offset = aligned ? (REAL)0.5 : (REAL)0;
        REAL low = rois[5 * k + 1 + axis] * scale - offset, high = rois[5 * k + 3 + axis] * scale - offset;
        REAL extent = aligned ? high - low : fmax(high - low, (REAL)1), step = extent / bins;
        int samples = ratio > 0 ? ratio : (int)ceil(step);
        for (int s = 0; s < samples; s++) {
            REAL position = low + bin * step + (s + (REAL)0.5) * step / samples;
            if (!(position >= -1 && position <= length))
                continue;
            position = fmin(fmax(position, (REAL)0), (REAL)(length - 1));
            int base = (int)floor(position), after = min(base + 1, length - 1);
            REAL t = position - base;
            weights[i * length + base] += (1 - t) / samples;
            weights[i * length + after] += t / samples;
            from = min(from, base);
            to = max(to, after + 1);
        }
        first[i] = from;
        stop[i] = to;
    }
}

extern "C" __global__ void roi_align(
    long long size, REAL *y, const REAL *x, const REAL *rois, const REAL *rows, const int *row_first,
    const int *row_stop, const REAL *columns, const int *column_first, const int *column_stop, int channels, int height,
    int width, int out_h, int out_w)
{
    // size = regions · channels · out_h · out_w
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int column_bin = i % out_w, row_bin = i / out_w % out_h;
        long long plane = i / out_w / out_h, k = plane / channels, c = plane - k * channels;
        const REAL *image = x + ((long long)rois[5 * k] * channels + c) * height * width;
        long long a = k * out_h + row_bin, b = k * out_w + column_bin;
        REAL sum = 0;
        for (int row = row_first[a]; row < row_stop[a]; row++) {
            REAL line = 0;
            for (int column = column_first[b]; column < column_stop[b]; column++)
                line += columns[b * width + column] * image[(long long)row * width + column];
            sum += rows[a * height + row] * line;
        }
        y[i] = sum;
    }
}

extern "C" __global__ void roi_align_input_grad(
    long long size, REAL *gx, const REAL *gy, const REAL *rois, const REAL *rows, const int *row_first,
    const int *row_stop, const REAL *columns, const int *column_first, const int *column_stop, int regions, int channels,
    int height, int width, int out_h, int out_w)
{
    // A thread has one pixel and goes through all regions of its image. size = images · channels · height · width
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int column = i % width, row = i / width % height;
        long long plane = i / width / height, n = plane / channels, c = plane - n * channels;
        REAL sum = 0;
        for (long long k = 0; k < regions; k++) {
            if ((long long)rois[5 * k] != n)
                continue;
            for (int p = 0; p < out_h; p++) {
                long long a = k * out_h + p;
                if (row < row_first[a] || row >= row_stop[a])
                    continue;
                REAL line = 0;
                for (int q = 0; q < out_w; q++) {
                    long long b = k * out_w + q;
                    if (column >= column_first[b] && column < column_stop[b])
                        line += columns[b * width + column] * gy[((k * channels + c) * out_h + p) * out_w + q];
                }
                sum += rows[a * height + row] * line;
            }
        }
        gx[i] = sum;
    }
}

__device__ REAL rounded(REAL value)  // halves away from 0
{
    REAL whole = floor(fabs(value) + (REAL)0.5);
    return value < 0 ? -whole : whole;
}

__device__ void bin_range(REAL low, REAL high, int bin, int bins, int length, int *first, int *stop)
{
    // The pixels of one bin along one axis; both rounded corners belong to the region.
    REAL step = fmax(high - low + 1, (REAL)1) / bins;
    *first = (int)fmin(fmax(low + floor(bin * step), (REAL)0), (REAL)length);
    *stop = (int)fmin(fmax(low + ceil((bin + 1) * step), (REAL)0), (REAL)length);
}

extern "C" __global__ void roi_pool(
    long long size, REAL *y, long long *index, const REAL *x, const REAL *rois, int channels, int height, int width,
    int out_h, int out_w, REAL scale)
{
    // The largest pixel of each bin, the first of equals, NaN the largest of all. size = regions · channels · bins
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int column_bin = i % out_w, row_bin = i / out_w % out_h, top, bottom, left, right;
        long long region = i / out_w / out_h, k = region / channels, c = region - k * channels;
        const REAL *roi = rois + 5 * k;
        bin_range(rounded(roi[2] * scale), rounded(roi[4] * scale), row_bin, out_h, height, &top, &bottom);
        bin_range(rounded(roi[1] * scale), rounded(roi[3] * scale), column_bin, out_w, width, &left, &right);
        long long plane = ((long long)roi[0] * channels + c) * height * width, where = -1;
        REAL best = 0;
        for (int row = top; row < bottom; row++)
            for (int column = left; column < right; column++) {
                long long at = plane + (long long)row * width + column;
                REAL value = x[at];
                if (where < 0 || value > best || (value != value && best == best))
                    best = value, where = at;
            }
        y[i] = best;
        index[i] = where;
    }
}

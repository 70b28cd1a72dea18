// Resizing along one axis of an array (lead, length, trail): each output is a weighted sum of a few inputs, its taps.
//
// The taps of an axis are found once, into small tables. The kernels that read them have one thread for each place that
// is written, also in the adjoint: as positions only grow along an axis, the outputs that read one input follow each
// other, and the thread of that input goes through them.

__device__ double near(double d)  // Keys' cubic with a = −0.75 at a distance of at most 1
{
    return ((-0.75 + 2) * d - (-0.75 + 3)) * d * d + 1;
}

__device__ double far(double d)  // and between 1 and 2
{
    return ((-0.75 * d + 5 * 0.75) * d - 8 * 0.75) * d + 4 * 0.75;
}

extern "C" __global__ void axis_taps(
    long long size, int *index, REAL *weight, int in_size, int out_size, int mode, int align_corners, double ratio)
{
    // The inputs that each output j reads and their weights, (out_size, taps). mode 0: a copy of j·in/out; 1: nearest,
    // ⌊j·ratio⌋ in single precision; 2: nearest-exact; 3: linear, two taps; 4: cubic, four taps. size = out_size
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int j = i, last = in_size - 1;
        if (mode < 3) {
            int source = (long long)j * in_size / out_size;
            if (mode == 1)
                source = floor((float)j * (float)ratio);
            if (mode == 2)
                source = floor((float)((j + 0.5) * (float)ratio));
            index[j] = min(source, last);
            weight[j] = (REAL)1;
            continue;
        }
        double position = align_corners ? j * ratio : (j + 0.5) * ratio - 0.5;
        if (mode == 3 && position < 0)
            position = 0;
        int base = min((int)floor(position), last);
        double t = fmin(position - base, 1.0);
        if (mode == 3) {
            index[2 * j] = base, index[2 * j + 1] = min(base + 1, last);
            weight[2 * j] = (REAL)(1 - t), weight[2 * j + 1] = (REAL)t;
        } else {
            for (int k = 0; k < 4; k++)
                index[4 * j + k] = max(0, min(base + k - 1, last));
            weight[4 * j] = (REAL)far(1 + t), weight[4 * j + 1] = (REAL)near(t);
            weight[4 * j + 2] = (REAL)near(1 - t), weight[4 * j + 3] = (REAL)far(2 - t);
        }
    }
}

extern "C" __global__ void axis_readers(long long size, int *first, int *stop, const int *index, int out_size, int taps)
{
    // For each input i the outputs that read it, first … stop − 1, found by halving. size = length of the input
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int low = 0, high = out_size;
        while (low < high) {  // the first output whose last tap is not before i
            int middle = (low + high) / 2;
            if (index[middle * taps + taps - 1] < i)
                low = middle + 1;
            else
                high = middle;
        }
        first[i] = low;
        high = out_size;
        while (low < high) {  // the first output whose first tap is after i
            int middle = (low + high) / 2;
            if (index[middle * taps] <= i)
                low = middle + 1;
            else
                high = middle;
        }
        stop[i] = low;
    }
}

extern "C" __global__ void resize_axis(
    long long size, REAL *y, const REAL *x, const int *index, const REAL *weight, int taps, int in_size, int out_size,
    int trail)
{
    // size = lead · out_size · trail
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long row = i / trail, column = i - row * trail, lead = row / out_size;
        int j = row - lead * out_size;
        REAL sum = 0;
        for (int k = 0; k < taps; k++)
            sum += weight[j * taps + k] * x[(lead * in_size + index[j * taps + k]) * trail + column];
        y[i] = sum;
    }
}

extern "C" __global__ void resize_axis_adjoint(
    long long size, REAL *gx, const REAL *gy, const int *index, const REAL *weight, const int *first, const int *stop,
    int taps, int in_size, int out_size, int trail)
{
    // size = lead · in_size · trail
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long row = i / trail, column = i - row * trail, lead = row / in_size;
        int at = row - lead * in_size;
        REAL sum = 0;
        for (int j = first[at]; j < stop[at]; j++)
            for (int k = 0; k < taps; k++)
                if (index[j * taps + k] == at)
                    sum += weight[j * taps + k] * gy[(lead * out_size + j) * trail + column];
        gx[i] = sum;
    }
}

// Sampling images at the points of a grid. Neighbouring threads have neighbouring points, and write side by side.

__device__ REAL reflect(REAL position, int length, int align_corners, int *sign)
{
    // The position mirrored at the edges until it lies between them, and ±1, the derivative.
    REAL low = align_corners ? (REAL)0 : (REAL)-0.5;
    REAL span = max(align_corners ? length - 1 : length, 1);  // one pixel: anything will do, the caller clips to 0
    REAL distance = fabs(position - low), mirrors = floor(distance / span);
    bool odd = fmod(mirrors, (REAL)2) == 1;
    REAL rest = distance - mirrors * span;
    *sign = odd != (position < low) ? -1 : 1;
    return low + (odd ? span - rest : rest);
}

extern "C" __global__ void grid_coordinates(
    long long size, REAL *positions, REAL *slopes, const REAL *grid, int dims, int points, int length_0, int length_1,
    int length_2, int reflects, int clips, int align_corners, double far)
{
    // size = samples · dims · points
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int d = i / points % dims, length = d == 0 ? length_0 : d == 1 ? length_1 : length_2, sign = 1;
        REAL slope = (align_corners ? length - 1 : length) / (REAL)2;
        REAL position = (grid[i] + 1) * slope - (align_corners ? (REAL)0 : (REAL)0.5);
        if (!(fabs(position) <= far))
            slope = 0;
        if (fabs(position) > far)  // NaN stays NaN
            position = position > 0 ? (REAL)far : (REAL)-far;
        if (reflects)
            position = reflect(position, length, align_corners, &sign);
        if (clips) {
            if (!(position > 0 && position < length - 1))
                slope = 0;
            position = position < 0 ? (REAL)0 : position > length - 1 ? (REAL)(length - 1) : position;
        }
        positions[i] = position;
        slopes[i] = sign * slope;
    }
}

extern "C" __global__ void grid_taps(
    long long size, long long *index, REAL *base, const REAL *coordinates, int dims, int points, int length_0,
    int length_1, int length_2, int taps, int reflects, int clips, int align_corners, double far)
{
    // A thread has one point and finds its taps^dims pixels, the last axis fastest. taps: 1, 2 or 4 on each axis.
    // size = samples · points
    int lengths[3] = {length_0, length_1, length_2};
    long long outside = 1, combinations = 1;
    for (int d = 0; d < dims; d++)
        outside *= lengths[d], combinations *= taps;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long n = i / points, p = i - n * points;
        int places[3][4];  // on each axis; −1 is outside
        for (int d = 0; d < dims; d++) {
            long long at = (n * dims + d) * points + p;
            REAL position = coordinates[at];
            REAL from = taps == 1 ? rint(position) : floor(position);
            if (position != position)
                from = (REAL)-far;
            base[at] = from;
            for (int t = 0; t < taps; t++) {
                int sign;
                REAL place = from + (taps == 4 ? t - 1 : t);
                if (reflects)
                    place = reflect(place, lengths[d], align_corners, &sign);
                if (clips)
                    place = fmin(fmax(place, (REAL)0), (REAL)(lengths[d] - 1));
                places[d][t] = place >= 0 && place < lengths[d] ? (int)place : -1;
            }
        }
        for (int k = 0; k < combinations; k++) {
            long long pixel = 0;
            for (int d = 0, step = combinations / taps; d < dims; d++, step /= taps) {
                int place = places[d][k / step % taps];
                pixel = place < 0 || pixel < 0 ? -1 : pixel * lengths[d] + place;
            }
            index[(n * combinations + k) * points + p] = pixel < 0 ? outside : pixel;
        }
    }
}

extern "C" __global__ void weighted_gather(
    long long size, REAL *y, const REAL *x, const long long *index, const REAL *weight, int channels, int taps,
    int points, long long length)
{
    // y[n,c,p] = Σ_k weight[n,k,p] · x[n, c, index[n,k,p]]. size = samples · channels · points
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long plane = i / points, p = i - plane * points, n = plane / channels;
        REAL sum = 0;
        for (int k = 0; k < taps; k++) {
            long long at = (n * taps + k) * points + p, pixel = index[at];
            sum += weight[at] * (pixel < length ? x[plane * length + pixel] : (REAL)0);
        }
        y[i] = sum;
    }
}

extern "C" __global__ void gather_dot(
    long long size, REAL *gw, const REAL *x, const REAL *gy, const long long *index, int channels, int taps, int points,
    long long length)
{
    // gw[n,k,p] = Σ_c gy[n,c,p] · x[n, c, index[n,k,p]]. size = samples · taps · points
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long n = i / points / taps, p = i % points, pixel = index[i];
        REAL sum = 0;
        if (pixel < length)
            for (int c = 0; c < channels; c++)
                sum += gy[(n * channels + c) * points + p] * x[(n * channels + c) * length + pixel];
        gw[i] = sum;
    }
}

extern "C" __global__ void weighted_scatter(
    long long size, REAL *gx, const REAL *gy, const REAL *weight, const long long *order, const long long *places,
    long long count, int channels, int taps, int points, long long length)
{
    // gx[n,c,l] = Σ weight[n,k,p] · gy[n,c,p] over the (n, k, p) whose place is n·(length + 1) + l. The places are
    // sorted, and the thread of the first of a run adds the run up, as in runs.cu. size = channels · count
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long c = i / count, j = i - c * count, place = places[j];
        long long n = place / (length + 1), pixel = place - n * (length + 1);
        if (pixel == length || (j > 0 && places[j - 1] == place))
            continue;
        SUM sum = 0;
        for (; j < count && places[j] == place; j++)
            sum += (SUM)weight[order[j]] * gy[(n * channels + c) * points + order[j] % points];
        gx[(n * channels + c) * length + pixel] = (REAL)sum;
    }
}

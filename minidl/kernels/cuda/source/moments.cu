// Sums over all but the channels of an array (before, channels, after), for batch norm and its kin.
//
// A grid of blocks: blockIdx.x chooses `width` neighbouring channels, blockIdx.y a part of their values, so that few
// channels with many values keep the device busy too. Thread t has channel t % width of them. With one channel
// to a block (long `after`) neighbouring threads read neighbouring values; with a short `after`, neighbouring channels.
// What the threads have found is put together in a tree in shared memory: half of them take over the other half's, then
// a half of those, until one thread is left for each channel. width divides every half, so channels never mix.
// The parts are put together at the end. All of this happens in a fixed order, and in double precision.

__device__ void add_moments(double *count, double *mean, double *squares, double n, double m, double q)
{
    // Of the values of two sets together: how many, their mean, the sum of squares around it (Chan et al. 1983).
    double total = *count + n;
    if (n > 0) {
        double distance = m - *mean;
        *squares += q + distance * distance * (*count * n / total);
        *mean += distance * (n / total);
        *count = total;
    }
}

extern "C" __global__ void moments(
    double *partial, const REAL *x, long long values, int channels, int after, int width, int parts)
{
    // partial (3, parts, channels): number, mean and sum of squares. values = before · after, of one channel. Each
    // thread measures from the first value it meets, so that a large mean costs no digits.
    __shared__ double counts[256], means[256], squares[256];
    int t = threadIdx.x, c = blockIdx.x * width + t % width, part = blockIdx.y;
    double count = 0, sum = 0, square = 0, origin = 0;
    if (c < channels)
        for (long long j = values * part / parts + t / width, stop = values * (part + 1) / parts; j < stop;
             j += blockDim.x / width) {
            long long n = j / after;
            double value = x[(n * channels + c) * after + (j - n * after)];
            if (count == 0)
                origin = value;
            value -= origin;
            count += 1;
            sum += value;
            square += value * value;
        }
    counts[t] = count;
    means[t] = count > 0 ? origin + sum / count : 0;
    squares[t] = count > 0 ? square - sum * sum / count : 0;
    for (int half = blockDim.x / 2; half >= width; half /= 2) {
        __syncthreads();
        if (t < half)
            add_moments(counts + t, means + t, squares + t, counts[t + half], means[t + half], squares[t + half]);
    }
    if (t < width && c < channels) {
        long long step = (long long)parts * channels;
        double *found = partial + (long long)part * channels + c;
        found[0] = counts[t], found[step] = means[t], found[2 * step] = squares[t];
    }
}

extern "C" __global__ void add_parts(long long size, double *mean, double *var, const double *partial, int parts)
{
    // What the parts have found, together: a thread for each of the `size` channels.
    for (long long c = blockIdx.x * (long long)blockDim.x + threadIdx.x; c < size;
         c += gridDim.x * (long long)blockDim.x) {
        double count = 0, square = 0;
        mean[c] = 0;
        for (int part = 0; part < parts; part++) {
            const double *found = partial + part * size + c;
            add_moments(&count, mean + c, &square, found[0], found[parts * size], found[2 * parts * size]);
        }
        var[c] = count > 0 ? square / count : 0;
    }
}

extern "C" __global__ void sums(
    double *partial, const REAL *x, long long values, int channels, int after, int width, int parts)
{
    // partial (1, parts, channels): Σ x
    __shared__ double found[256];
    int t = threadIdx.x, c = blockIdx.x * width + t % width, part = blockIdx.y;
    double sum = 0;
    if (c < channels)
        for (long long j = values * part / parts + t / width, stop = values * (part + 1) / parts; j < stop;
             j += blockDim.x / width) {
            long long n = j / after;
            sum += x[(n * channels + c) * after + (j - n * after)];
        }
    found[t] = sum;
    for (int half = blockDim.x / 2; half >= width; half /= 2) {
        __syncthreads();
        if (t < half)
            found[t] += found[t + half];
    }
    if (t < width && c < channels)
        partial[(long long)part * channels + c] = found[t];
}

extern "C" __global__ void gradient_sums(
    double *partial, const REAL *gy, const REAL *x, const double *mean, const double *inverse, const REAL *relu_output,
    int masked, int group, int groups, long long values, int channels, int after, int width, int parts)
{
    // partial (2, parts, channels): Σ g and Σ g·x̂, x̂ = (x − mean) · inverse, g = gy, or 0 where relu_output is 0. The
    // statistics are those of channel c for all samples (group 1, groups 0), or those of the group c / group of each
    // sample, of which it has `groups`.
    __shared__ double grads[256], products[256];
    int t = threadIdx.x, c = blockIdx.x * width + t % width, part = blockIdx.y;
    double sum_g = 0, sum_gx = 0;
    if (c < channels)
        for (long long j = values * part / parts + t / width, stop = values * (part + 1) / parts; j < stop;
             j += blockDim.x / width) {
            long long n = j / after, row = n * groups + c / group;
            long long at = (n * channels + c) * after + (j - n * after);
            double g = masked && relu_output[at] == 0 ? 0 : gy[at];
            sum_g += g;
            sum_gx += g * ((x[at] - mean[row]) * inverse[row]);
        }
    grads[t] = sum_g, products[t] = sum_gx;
    for (int half = blockDim.x / 2; half >= width; half /= 2) {
        __syncthreads();
        if (t < half)
            grads[t] += grads[t + half], products[t] += products[t + half];
    }
    if (t < width && c < channels) {
        double *found = partial + (long long)part * channels + c;
        found[0] = grads[t], found[(long long)parts * channels] = products[t];
    }
}

extern "C" __global__ void group_gradient_sums(
    double *sums, const REAL *gy, const REAL *x, const double *mean, const double *inverse, const REAL *weight,
    int weighted, int groups, int per_group, int inner)
{
    // sums (2, rows): Σ g and Σ g·x̂ over the group of one sample, g = weight · gy. A block for each of these rows,
    // which lie whole in memory: x is (samples, groups, per_group, inner).
    __shared__ double grads[256], products[256];
    int t = threadIdx.x;
    long long row = blockIdx.x, values = (long long)per_group * inner;
    double sum_g = 0, sum_gx = 0;
    for (long long j = t; j < values; j += blockDim.x) {
        double g = gy[row * values + j];
        if (weighted)
            g *= weight[row % groups * per_group + j / inner];
        sum_g += g;
        sum_gx += g * ((x[row * values + j] - mean[row]) * inverse[row]);
    }
    grads[t] = sum_g, products[t] = sum_gx;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            grads[t] += grads[t + half], products[t] += products[t + half];
    }
    if (t == 0)
        sums[row] = grads[0], sums[(long long)gridDim.x + row] = products[0];
}

// Local response normalization: each value of x (samples, channels, inner) by the energy of its neighbouring channels.
//
// A thread has one value and goes through the window of channels at its position. Threads that are neighbours have
// neighbouring positions, so each of their steps reads side by side; the windows overlap, and the cache has the rest.

extern "C" __global__ void local_response_norm(
    long long size, REAL *y, REAL *energy, const REAL *x, int channels, int inner, int before, int after, double scale,
    double beta, double k)
{
    // energy = k + scale · Σ x², over the channels c − before … c + after. size = samples · channels · inner
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int c = i / inner % channels;
        REAL sum = 0;
        for (int d = max(-before, -c); d <= min(after, channels - 1 - c); d++) {
            REAL value = x[i + (long long)d * inner];
            sum += value * value;
        }
        sum = (REAL)k + (REAL)scale * sum;
        energy[i] = sum;
        y[i] = x[i] * pow(sum, (REAL)-beta);
    }
}

extern "C" __global__ void local_response_norm_backward(
    long long size, REAL *gx, const REAL *gy, const REAL *x, const REAL *energy, int channels, int inner, int before,
    int after, double scale, double beta)
{
    // The windows that hold channel c are those of the channels c − before … c + after.
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int c = i / inner % channels;
        REAL sum = 0;
        for (int d = max(-before, -c); d <= min(after, channels - 1 - c); d++) {
            long long at = i + (long long)d * inner;
            sum += gy[at] * x[at] * pow(energy[at], (REAL)(-beta - 1));
        }
        gx[i] = gy[i] * pow(energy[i], (REAL)-beta) - (REAL)(2 * scale * beta) * x[i] * sum;
    }
}

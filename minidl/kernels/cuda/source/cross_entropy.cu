// Softmax and cross-entropy in one, of scores x (before, classes, after) with a label for each (before, after).
//
// `width` threads work together on one row of scores, each on every width-th of them; they are neighbours where the
// scores of a row are (after = 1), so that they read side by side. width is a power of two that divides the block, and
// 1 for images, in which neighbouring rows lie side by side. Sums are put together in a tree, in a fixed order.

extern "C" __global__ void softmax_cross_entropy(
    REAL *losses, REAL *e, REAL *total, const REAL *x, const long long *labels, long long rows, int classes, int after,
    int width)
{
    __shared__ REAL found[256];
    int t = threadIdx.x, lane = t % width;
    long long row = (long long)blockIdx.x * (blockDim.x / width) + t / width;
    bool inside = row < rows;
    long long first = inside ? row / after * classes * after + row % after : 0;

    REAL largest = inside ? x[first] : 0;
    for (int c = lane; inside && c < classes; c += width) {
        REAL score = x[first + (long long)c * after];
        if (score > largest || score != score)
            largest = score;
    }
    found[t] = largest;
    for (int half = width / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half && (found[t + half] > found[t] || found[t + half] != found[t + half]))
            found[t] = found[t + half];
    }
    __syncthreads();
    largest = found[t - lane];
    __syncthreads();

    REAL sum = 0;
    for (int c = lane; inside && c < classes; c += width) {
        long long at = first + (long long)c * after;
        sum += e[at] = exp(x[at] - largest);
    }
    found[t] = sum;
    for (int half = width / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half)
            found[t] += found[t + half];
    }
    if (inside && lane == 0) {
        total[row] = found[t];
        losses[row] = log(found[t]) - (x[first + labels[row] * after] - largest);
    }
}

extern "C" __global__ void softmax_cross_entropy_backward(
    long long size, REAL *gx, const REAL *gy, int every, const REAL *e, const REAL *total, const long long *labels,
    int classes, int after)
{
    // gx = gy · (e/Σ e − one_hot(label)), an element to a thread; gy has one number for every row, or one for all.
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        int c = i / after % classes;
        long long row = i / after / classes * after + i % after;
        REAL g = gy[every ? row : 0];
        gx[i] = e[i] * (g / total[row]) - (c == labels[row] ? g : (REAL)0);
    }
}

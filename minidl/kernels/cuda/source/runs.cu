// Adding into places of which some are named many times, without atomics: the places are sorted first.
//
// Entries with the same place then follow each other, a run. The thread that has the first of a run adds the whole run
// up and writes it, so no two threads write to the same place. As the sort is stable, the order of the sum, and with it
// every bit, is always the same.

extern "C" __global__ void add_runs(
    long long size, REAL *y, const REAL *values, const long long *order, const long long *places, long long count,
    int width, int last)
{
    // y[place, column] = Σ values[order[j], column] over the run of `place` in places (count, sorted); or the last of
    // them. Neighbouring threads have neighbouring columns. size = count · width
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        long long j = i / width, column = i - j * width, place = places[j];
        if (j > 0 && places[j - 1] == place)
            continue;
        SUM sum = 0;
        for (; j < count && places[j] == place; j++) {
            SUM value = values[order[j] * width + column];
            sum = last ? value : sum + value;
        }
        y[place * width + column] = (REAL)sum;
    }
}

/* Partial sums, extremes and counts of frames.
   in:  pixels (frames, count) T; mask (count) uchar; thresholds (levels) double
   out: per frame and part: sums SUM; high, low ulong (squares, 128 bits; `squares` double for floating point); least, most T; counts (2 + levels) ulong:
        valid, saturated, above each threshold
   Launch: (parts, frames), local size 1; SHAPE as in common.cl.
   Reference: accel.reference.statistics */
__kernel void statistics(__global const T *restrict pixels, __global const uchar *restrict mask, __global const double *restrict thresholds,
                         const uint count, const uint levels, __global SUM *restrict sums, __global ulong *restrict high, __global ulong *restrict low,
                         __global double *restrict squares, __global T *restrict least, __global T *restrict most, __global ulong *restrict counts)
{
    const uint part = get_global_id(0), parts = get_global_size(0), frame = get_global_id(1);
    const size_t place = (size_t)frame * parts + part;
    __global const T *restrict mine = pixels + (size_t)frame * count;
    __global ulong *restrict tally = counts + place * (2 + levels);
    SUM sum = 0;
    ulong up = 0, down = 0, valid = 0, saturated = 0;
    double wide = 0.0;
    T smallest = LARGEST, largest = SMALLEST;
    for (uint level = 0; level < levels; level++) tally[2 + level] = 0;
    EACH_OF_PART(i, part, parts, count) {
        const T x = mine[i];
        if (mask[i]) continue;
        if (!OWN(x)) {
#if KIND == 0
            saturated++;
#endif
            continue;
        }
        valid++;
        sum += (SUM)x;
        smallest = x < smallest ? x : smallest;
        largest = x > largest ? x : largest;
#if KIND == 2
        wide += (double)x * (double)x;
#else
        const ulong square = (ulong)x * (ulong)x;
        down += square;
        up += down < square;
#endif
        for (uint level = 0; level < levels; level++) tally[2 + level] += (double)x > thresholds[level];
    }
    sums[place] = sum;
    high[place] = up;
    low[place] = down;
    squares[place] = wide;
    least[place] = smallest;
    most[place] = largest;
    tally[0] = valid;
    tally[1] = saturated;
}

/* Partial sums, extremes and counts of frames.
   in:  pixels (frames, count) T; mask (count) uchar; least (LEVELS) LEVEL: the smallest values above each threshold
   out: per frame and part: sums SUM; high, low ulong (squares, 128 bits; `squares` double for floating point); least, most T; counts (2 + LEVELS) ulong:
        valid, saturated, above each threshold
   Launch: parts and frames, as in common.cl.
   Reference: accel.shipped.statistics.reference */
#if KIND == 2
typedef float LEVEL;
#else
typedef uint LEVEL;
#endif
__kernel void statistics(__global const T *restrict pixels, __global const uchar *restrict mask, __global const LEVEL *restrict levels,
                         const uint count, __global SUM *restrict sums, __global ulong *restrict high, __global ulong *restrict low,
                         __global double *restrict squares, __global T *restrict least, __global T *restrict most, __global ulong *restrict counts)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const size_t place = (size_t)frame * parts + part;
    __global ulong *restrict tally = counts + place * (2 + LEVELS);
    SUM sum = 0;
    ulong up = 0, down = 0, valid = 0, saturated = 0;
    double wide = 0.0;
    T smallest = LARGEST, largest = SMALLEST;
    for (uint level = 0; level < LEVELS; level++) tally[2 + level] = 0;
    EACH_BLOCK(from, length, part, parts, count) {
        __global const T *restrict p = pixels + (size_t)frame * count + from;
        __global const uchar *restrict m = mask + from;
        uint v = 0, marked = 0;
        T lo = LARGEST, hi = SMALLEST;
#if KIND == 2
        double s = 0.0, q = 0.0;
        for (int i = 0; i < (int)length; i++) {
            const T x = p[i * STEP];
            const uint ok = OWN(x) & (m[i * STEP] == 0);
            const T y = ok ? x : 0;
            v += ok;
            s += y;
            q += (double)y * (double)y;
            const T a = ok ? x : LARGEST, b = ok ? x : SMALLEST;
            lo = a < lo ? a : lo;
            hi = b > hi ? b : hi;
        }
        sum += s;
        wide += q;
#elif WIDE
        /* squares of 32 bits from their halves: x = a 2^16 + b */
        ulong s = 0, aa = 0, ab = 0, bb = 0;
        for (int i = 0; i < (int)length; i++) {
            const T x = p[i * STEP];
            const uint open = m[i * STEP] == 0, ok = OWN(x) & open;
            const uint y = ok ? (uint)x : 0u, a = y >> 16, b = y & 0xffffu;
            v += ok;
            s += y;
            aa += a * a;
            ab += a * b;
            bb += b * b;
            marked += open & !OWN(x);
            const T least_here = ok ? x : LARGEST, most_here = ok ? x : SMALLEST;
            lo = least_here < lo ? least_here : lo;
            hi = most_here > hi ? most_here : hi;
        }
        sum += (SUM)s;
        const ulong middle = ab << 17, before = down;
        down += bb;
        up += down < before;
        down += middle;
        up += (down < middle) + (ab >> 47);
        down += aa << 32;
        up += (down < (aa << 32)) + (aa >> 32);
#else
        uint s = 0, q_high = 0, q_low = 0, lowest = LARGEST, highest = 0;
        for (int i = 0; i < (int)length; i++) {
            const uint x = p[i * STEP], open = m[i * STEP] == 0, ok = OWN(x) & open, y = ok ? x : 0u, square = y * y;
            v += ok;
            s += y;
            q_high += square >> 16;
            q_low += square & 0xffffu;
            marked += open & (x == MARK);
            const uint least_here = ok ? x : LARGEST;
            lowest = least_here < lowest ? least_here : lowest;
            highest = y > highest ? y : highest;
        }
        lo = lowest;
        hi = highest;
        sum += s;
        down += ((ulong)q_high << 16) + q_low;
#endif
        valid += v;
        saturated += marked;
        smallest = lo < smallest ? lo : smallest;
        largest = hi > largest ? hi : largest;
        for (uint level = 0; level < LEVELS; level++) {
            const LEVEL bound = levels[level];
            uint n = 0;
            for (int i = 0; i < (int)length; i++) {
                const T x = p[i * STEP];
                n += OWN(x) & (m[i * STEP] == 0) & ((LEVEL)x >= bound);
            }
            tally[2 + level] += n;
        }
    }
    sums[place] = sum;
    high[place] = up;
    low[place] = down;
    squares[place] = wide;
    least[place] = smallest;
    most[place] = largest;
    tally[0] = valid;
    tally[1] = KIND == 0 ? saturated : 0;
}

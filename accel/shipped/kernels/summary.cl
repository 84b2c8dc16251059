/* Corrects frames, and takes sum, largest value, saturated pixels and hits of them in the same pass.
   in:  pixels (frames, count) T; mask (count) uchar; dark, factor (count) float
   out: found (frames, count) float; per frame and part: sums double; most float; counts (3) uint: valid, saturated, above
   Launch: parts and frames, as in common.cl.
   Reference: accel.shipped.summary.reference */
__kernel void summary(__global const T *restrict pixels, __global const uchar *restrict mask, __global const float *restrict dark,
                      __global const float *restrict factor, const uint count, const float above, __global float *restrict found,
                      __global double *restrict sums, __global float *restrict most, __global uint *restrict counts)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const size_t base = (size_t)frame * count, place = (size_t)frame * parts + part;
    double sum = 0.0;
    float largest = -INFINITY;
    uint valid = 0, saturated = 0, hits = 0;
    EACH_BLOCK(from, length, part, parts, count) {
        __global const T *restrict p = pixels + base + from;
        __global const uchar *restrict m = mask + from;
        __global const float *restrict d = dark + from, *restrict f = factor + from;
        __global float *restrict out = found + base + from;
        /* lanes are kept apart: compilers do not change the order of floating-point sums and maxima by themselves */
        float sums_of[LANES];
        float most_of[LANES];
        uint valid_of[LANES], marked_of[LANES], hits_of[LANES];
        for (int k = 0; k < LANES; k++) {
            sums_of[k] = 0.0f;
            most_of[k] = -INFINITY;
            valid_of[k] = marked_of[k] = hits_of[k] = 0;
        }
#define ONE(i, k) \
    { \
        const T x = p[(i) * STEP]; \
        const uint open = m[(i) * STEP] == 0, ok = OWN(x) & open; \
        const float value = ((float)x - d[(i) * STEP]) * f[(i) * STEP]; \
        const float here = ok ? value : -INFINITY; \
        out[(i) * STEP] = ok ? value : NAN; \
        sums_of[k] += ok ? value : 0.0f; \
        valid_of[k] += ok; \
        marked_of[k] += open & !OWN(x); \
        hits_of[k] += here > above; \
        most_of[k] = here > most_of[k] ? here : most_of[k]; \
    }
        const int whole = (int)length / LANES * LANES;
        for (int i = 0; i < whole; i += LANES)
            for (int k = 0; k < LANES; k++) ONE(i + k, k)
        for (int i = whole; i < (int)length; i++) ONE(i, 0)
        for (int k = 0; k < LANES; k++) {
            sum += sums_of[k];
            valid += valid_of[k];
            saturated += KIND == 0 ? marked_of[k] : 0;
            hits += hits_of[k];
            largest = most_of[k] > largest ? most_of[k] : largest;
        }
    }
    sums[place] = sum;
    most[place] = largest;
    counts[3 * place] = valid;
    counts[3 * place + 1] = saturated;
    counts[3 * place + 2] = hits;
}

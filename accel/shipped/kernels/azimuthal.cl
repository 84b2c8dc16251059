/* Sums over bins of frames; each work-item has bins of its own, so that none waits for another. What pixels without a value would have weighed is written
   apart, so that nothing but the value of a pixel is added for the many that have one.
   in:  pixels (frames, count) T; mask (count) uchar, not read: what is masked lies in no bin; factor (count) float;
        SPLIT 0: places (count) int, the bin of each pixel, below 0 for none
        SPLIT 1: begins (count + 1) uint, places (begins[count]) int, shares (begins[count]) float: the bins that a pixel lies in, and how much of it lies there
   out: per frame and part: sums (bins, WAYS) double; lost_weights (bins) double; lost_counts (bins) uint; VARIANCE 1: variances (bins) double
   Launch: parts and frames, as in common.cl.
   Reference: accel.shipped.azimuthal.reference */
__kernel void azimuthal(__global const T *restrict pixels, __global const uchar *restrict mask, __global const float *restrict factor,
#if SPLIT
                        __global const uint *restrict begins, __global const int *restrict places, __global const float *restrict shares,
#else
                        __global const int *restrict places,
#endif
                        const uint count, const uint bins, __global double *restrict sums, __global double *restrict lost_weights,
                        __global uint *restrict lost_counts
#if VARIANCE
                        , __global double *restrict variances
#endif
)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const size_t own = ((size_t)frame * parts + part) * bins;
    __global double *restrict mine = sums + own * WAYS;
    for (uint bin = 0; bin < bins * WAYS; bin++) mine[bin] = 0.0;
    for (uint bin = 0; bin < bins; bin++) {
        lost_weights[own + bin] = 0.0;
        lost_counts[own + bin] = 0;
#if VARIANCE
        variances[own + bin] = 0.0;
#endif
    }
    EACH_BLOCK(from, length, part, parts, count) {
        __global const T *restrict p = pixels + (size_t)frame * count + from;
        for (int i = 0; i < (int)length; i++) {
            const T x = p[i * STEP];
            const uint here = from + i * STEP;
#if SPLIT
            const uint end = begins[here + 1];
            if (OWN(x)) {
                for (uint k = begins[here]; k < end; k++) {
                    mine[places[k] * WAYS + (k & (WAYS - 1))] += (double)shares[k] * (double)x;
#if VARIANCE
                    variances[own + places[k]] += x > 0 ? (double)shares[k] * (double)shares[k] * (double)x : 0.0;
#endif
                }
            } else {
                for (uint k = begins[here]; k < end; k++) {
                    lost_weights[own + places[k]] += (double)shares[k] * (double)factor[here];
                    lost_counts[own + places[k]]++;
                }
            }
#else
            const int bin = places[here];
            if (bin < 0) continue;
            if (OWN(x)) { /* pixels beside each other add to numbers beside each other: none waits for the one before */
                mine[bin * WAYS + (i & (WAYS - 1))] += (double)x;
#if VARIANCE
                variances[own + bin] += x > 0 ? (double)x : 0.0;
#endif
            } else {
                lost_weights[own + bin] += (double)factor[here];
                lost_counts[own + bin]++;
            }
#endif
        }
    }
}

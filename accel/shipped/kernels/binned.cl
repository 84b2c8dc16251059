/* Sums over squares of SIZE x SIZE pixels of a region, and how many pixels of each are valid.
   in:  pixels (frames, rows, width) T; mask (rows, width) uchar
   out: sums (frames, high, wide) SUM; counts (frames, high, wide) uint
   Launch: SHAPE 0: (high, frames), a row of squares a work-item; SHAPE 1: (wide, high, frames), one square.
   Reference: accel.shipped.binned.reference */
#if KIND == 2
typedef double PARTIAL;
#elif WIDE
typedef ulong PARTIAL;
#else
typedef uint PARTIAL; /* of a column of 256 pixels at the most */
#endif
#define TILE 2048
#if SHAPE == 0
__kernel void binned(__global const T *restrict pixels, __global const uchar *restrict mask, const uint rows, const uint width, const uint row,
                     const uint column, const uint high, const uint wide, __global SUM *restrict sums, __global uint *restrict counts)
{
    const uint y = get_global_id(0), frame = get_global_id(1);
    const size_t base = (size_t)frame * rows * width, place = ((size_t)frame * high + y) * wide;
    PARTIAL column_sums[TILE];
    ushort column_counts[TILE];
    const uint squares = TILE / SIZE;
    for (uint first = 0; first < wide; first += squares) {
        const int here = min(squares, wide - first), length = here * SIZE;
        for (int i = 0; i < length; i++) {
            column_sums[i] = 0;
            column_counts[i] = 0;
        }
        for (int j = 0; j < SIZE; j++) {
            const size_t line = (size_t)(row + y * SIZE + j) * width + column + first * SIZE;
            __global const T *restrict p = pixels + base + line;
            __global const uchar *restrict m = mask + line;
            for (int i = 0; i < length; i++) {
                const T x = p[i];
                const uint ok = OWN(x) & (m[i] == 0);
                column_sums[i] += ok ? (PARTIAL)x : 0;
                column_counts[i] += ok;
            }
        }
        for (int k = 0; k < here; k++) {
            SUM sum = 0;
            uint valid = 0;
            for (int i = 0; i < SIZE; i++) {
                sum += column_sums[k * SIZE + i];
                valid += column_counts[k * SIZE + i];
            }
            sums[place + first + k] = sum;
            counts[place + first + k] = valid;
        }
    }
}
#else
__kernel void binned(__global const T *restrict pixels, __global const uchar *restrict mask, const uint rows, const uint width, const uint row,
                     const uint column, const uint high, const uint wide, __global SUM *restrict sums, __global uint *restrict counts)
{
    const uint x = get_global_id(0), y = get_global_id(1), frame = get_global_id(2);
    const size_t base = (size_t)frame * rows * width;
    SUM sum = 0;
    uint valid = 0;
    for (uint j = 0; j < SIZE; j++) {
        const size_t line = (size_t)(row + y * SIZE + j) * width + column + x * SIZE;
        for (uint i = 0; i < SIZE; i++) {
            const T value = pixels[base + line + i];
            if (!mask[line + i] && OWN(value)) {
                sum += (SUM)value;
                valid++;
            }
        }
    }
    const size_t place = ((size_t)frame * high + y) * wide + x;
    sums[place] = sum;
    counts[place] = valid;
}
#endif

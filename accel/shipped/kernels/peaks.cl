/* Pixels that stand out of their surroundings; see the reference for what that is.
   in:  pixels (frames, rows, width) T; mask (rows, width) uchar
   out: found (frames, rows, words) uint: a bit for each pixel of 32
   Launch: SHAPE 0: (rows, frames), a row a work-item; SHAPE 1: (words, rows, frames), 32 pixels.
   Reference: accel.shipped.peaks.reference */
uint is_peak(__global const T *restrict frame, __global const uchar *restrict mask, const int y, const int x, const int rows, const int width,
             const int radius, const double ratio, const double least)
{
    const size_t here = (size_t)y * width + x;
    const T raw = frame[here];
    const double value = (double)raw;
    if (mask[here] || !OWN(raw) || !(value > least)) return 0;
    double number = 0.0, total = 0.0;
    for (int dy = -radius; dy <= radius; dy++) {
        if (y + dy < 0 || y + dy >= rows) continue;
        for (int dx = -radius; dx <= radius; dx++) {
            if (x + dx < 0 || x + dx >= width) continue;
            const size_t there = (size_t)(y + dy) * width + x + dx;
            const T other = frame[there];
            if (mask[there] || !OWN(other)) continue;
            if (abs(dy) > 1 || abs(dx) > 1) {
                number += 1.0;
                total += (double)other;
            } else if (dy || dx) {
                const int before = dy < 0 || (dy == 0 && dx < 0);
                if (before ? (double)other >= value : (double)other > value) return 0;
            }
        }
    }
    const double above = number * value - total;
    return number > 0.0 && above > 0.0 && above * above > ratio * ratio * number * fmax(total, number);
}
__kernel void peaks(__global const T *restrict pixels, __global const uchar *restrict mask, const int rows, const int width, const int radius,
                    const double ratio, const double least, const T floor_of_least, __global uint *restrict found)
{
    const int words = (width + 31) / 32;
#if SHAPE == 0
    const int y = get_global_id(0), first = 0, last = words, frame = get_global_id(1);
#else
    const int y = get_global_id(1), first = get_global_id(0), last = first + 1, frame = get_global_id(2);
#endif
    __global const T *restrict mine = pixels + (size_t)frame * rows * width;
    for (int word = first; word < last; word++) {
        const int begin = word * 32, length = min(32, width - begin);
        __global const T *restrict p = mine + (size_t)y * width + begin;
        uint bits = 0, any = 0;
        for (int i = 0; i < length; i++) any |= OWN(p[i]) & (p[i] > floor_of_least);
        if (any)
            for (int i = 0; i < length; i++)
                if (OWN(p[i]) & (p[i] > floor_of_least)) bits |= is_peak(mine, mask, y, begin + i, rows, width, radius, ratio, least) << i;
        found[((size_t)frame * rows + y) * words + word] = bits;
    }
}

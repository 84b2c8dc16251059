/* Pixels that stand out of their surroundings; see the reference for what that is.
   in:  pixels (frames, rows, width) T; mask (rows, width) uchar
   out: found (frames, rows, width) uchar: 1 for a peak
   Launch: (width, rows, frames), local size of the runtime's choice; one pixel a work-item, most of which end at the first comparison.
   Reference: accel.reference.peaks */
__kernel void peaks(__global const T *restrict pixels, __global const uchar *restrict mask, const int radius, const double ratio, const double least,
                    __global uchar *restrict found)
{
    const int x = get_global_id(0), y = get_global_id(1), width = get_global_size(0), rows = get_global_size(1);
    const size_t base = (size_t)get_global_id(2) * rows * width, here = (size_t)y * width + x;
    const T raw = pixels[base + here];
    const double value = (double)raw;
    found[base + here] = 0;
    if (mask[here] || !OWN(raw) || !(value > least)) return;
    double number = 0.0, total = 0.0;
    for (int dy = -radius; dy <= radius; dy++) {
        if (y + dy < 0 || y + dy >= rows) continue;
        for (int dx = -radius; dx <= radius; dx++) {
            if (x + dx < 0 || x + dx >= width) continue;
            const size_t there = (size_t)(y + dy) * width + x + dx;
            const T other = pixels[base + there];
            if (mask[there] || !OWN(other)) continue;
            if (abs(dy) > 1 || abs(dx) > 1) {
                number += 1.0;
                total += (double)other;
            } else if (dy || dx) {
                const int before = dy < 0 || (dy == 0 && dx < 0);
                if (before ? (double)other >= value : (double)other > value) return;
            }
        }
    }
    const double above = number * value - total;
    found[base + here] = number > 0.0 && above > 0.0 && above * above > ratio * ratio * number * fmax(total, number);
}

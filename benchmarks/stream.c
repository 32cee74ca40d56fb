// A STREAM triad, written by its published rules (McCalpin: arrays of at least four times the last-level cache, every
// number read and written once, the best of many passes counts). A server: each line on standard input asks for one pass,
// and is answered with its seconds; so its passes can alternate with those of another program.
//
//     cc -O3 -march=native -fopenmp stream.c -o stream && ./stream BYTES_PER_ARRAY

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

typedef float number; // STREAM_TYPE: as the program's own triad

// STREAM's OFFSET: arrays that begin at the same place of a cache's sets are 5 % slower than these
enum { OFFSET = 1040 * 64 / sizeof(number) };

static number *array(size_t count, size_t index) {
    size_t page = 2u << 20, bytes = ((count + index * OFFSET) * sizeof(number) + page - 1) / page * page;
    number *made = aligned_alloc(page, bytes);
    if (!made) exit(1);
#ifdef __linux__
    madvise(made, bytes, MADV_HUGEPAGE); // as the measuring process asks for its own
#endif
    return made + index * OFFSET;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    size_t count = strtoull(argv[1], NULL, 10) / sizeof(number);
    number *a = array(count, 0), *b = array(count, 1), *c = array(count, 2);
    const number scalar = 3.0f;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++) { a[i] = 1.0f; b[i] = 2.0f; c[i] = 0.5f; }
    for (int asked = getchar(); asked != EOF; asked = getchar()) {
        double began = omp_get_wtime();
#pragma omp parallel for schedule(static)
        for (size_t i = 0; i < count; i++) a[i] = b[i] + scalar * c[i];
        printf("%.9f\n", omp_get_wtime() - began);
        fflush(stdout);
    }
    return a[count / 2] == 3.5f ? 0 : 3;
}

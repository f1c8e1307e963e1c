/* Terrarium benchmark guest: driver.
 *   bench [GROUP|GROUP.TEST ...]     run tests (default: every group)
 *   bench noop                       exit at once (target of the exec test)
 * Output: "START name" then "BENCH name seconds checksum", or "SKIP name".
 * Host-side time between the two lines is the second, independent clock. */
#define _GNU_SOURCE
#include "tb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <termios.h>
#include <sys/mman.h>
#include <sys/resource.h>

u8 *arena; volatile u32 opaque0; const char *tb_tmp = "/tmp";

static double now(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void) {                       /* of this process and its finished children */
    struct rusage a, b; getrusage(RUSAGE_SELF, &a); getrusage(RUSAGE_CHILDREN, &b);
    return a.ru_utime.tv_sec + a.ru_stime.tv_sec + b.ru_utime.tv_sec + b.ru_stime.tv_sec
         + (a.ru_utime.tv_usec + a.ru_stime.tv_usec + b.ru_utime.tv_usec + b.ru_stime.tv_usec) * 1e-6;
}

static const struct { const char *group; const struct test *tests; int arena; } groups[] = {
    {"int", int_tests, 1}, {"sse", sse_tests, 1}, {"sse", simd_tests, 1}, {"x87", x87_tests, 1},
    {"system", system_tests, 0}, {"app", app_tests, 0}, {0, 0, 0}};

static int wanted(int argc, char **argv, const char *group, const char *name) {
    if (argc < 2) return 1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "all") || !strcmp(argv[i], group)) return 1;
        const char *dot = strchr(argv[i], '.');
        if (dot && !strncmp(argv[i], group, dot - argv[i]) && !group[dot - argv[i]] && !strcmp(dot + 1, name)) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "noop")) return 0;
    int show_cpu = getenv("TB_CPU") != 0;        /* natively: CPU time too, for a busy host */
    if (getenv("TB_TMP")) tb_tmp = getenv("TB_TMP");
    for (int g = 0; groups[g].group; g++) {
        if (groups[g].arena && !arena) {
            arena = mmap(0, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (arena == MAP_FAILED) { perror("mmap"); return 1; }
            memset(arena, 1, ARENA_SIZE);
        } else if (!groups[g].arena && arena) { munmap(arena, ARENA_SIZE); arena = 0; }
        for (const struct test *t = groups[g].tests; t->name; t++) {
            if (!wanted(argc, argv, groups[g].group, t->name)) continue;
            printf("START %s.%s\n", groups[g].group, t->name); fflush(stdout); tcdrain(1);
            double c0 = show_cpu ? cpu() : 0, t0 = now(); u32 r = t->run(); double t1 = now();
            if (r == SKIPPED) printf("SKIP %s.%s\n", groups[g].group, t->name);
            else printf("BENCH %s.%s %.6f %08x", groups[g].group, t->name, t1 - t0, r);
            if (r != SKIPPED && show_cpu) printf(" %.6f\n", cpu() - c0); else if (r != SKIPPED) puts("");
            fflush(stdout);
        }
    }
    return 0;
}

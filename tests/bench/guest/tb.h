/* Terrarium benchmark guest: shared declarations. Original code. */
#ifndef TB_H
#define TB_H
#include <stdint.h>
#include <stddef.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
typedef int32_t s32; typedef int64_t s64;

/* A test returns a 32-bit checksum.  It must be the same on every correct x86
 * implementation, and the work must not be removable by the compiler. */
struct test { const char *name; u32 (*run)(void); };
extern const struct test int_tests[], sse_tests[], simd_tests[], x87_tests[],
                         system_tests[], app_tests[];

#define NOINLINE __attribute__((noipa))   /* no inlining, cloning, or purity analysis */
#define ARENA_SIZE (24u << 20)
extern u8 *arena;              /* ARENA_SIZE bytes, mapped and touched beforehand */
extern volatile u32 opaque0;   /* 0, but the compiler cannot know it */
extern const char *tb_tmp;     /* a directory on tmpfs */
#define SKIPPED 0xffffffffu    /* "this test cannot run here" */

u32 crc32_of(u32 crc, const void *p, size_t n);
static inline u32 rng(u32 *s) { u32 x = *s; x ^= x << 13; x ^= x >> 17; x ^= x << 5; return *s = x; }
static inline u32 mix(u32 h, u32 v) { h ^= v; h *= 0x9E3779B1u; return h ^ (h >> 15); }
#endif

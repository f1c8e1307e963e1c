/* What CPU models offer, used: each line names an extension, whether CPUID and XCR0 say that it is there, and a sum over what its
 * instructions give. What is not there is run all the same, in a child: the line then tells the signal that ended it.
 * Without such an instruction the code below runs on every x86-64. */
#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t sum;
static unsigned char in[4096] __attribute__((aligned(64)));
static unsigned char out[4096] __attribute__((aligned(64)));

/* FNV-1a. */
static void add(const void *data, size_t size) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++) sum = (sum ^ bytes[i]) * 16777619u;
}
static void fill(void) {
  uint32_t x = 12345;
  for (size_t i = 0; i < sizeof in; i++) in[i] = (x = x * 1664525u + 1013904223u) >> 24;
}
static void fill_floats(void) {
  float *f = (float *)in;
  for (int i = 0; i < 1024; i++) f[i] = (float)((i * 7919) % 4001 - 2000) / 16;
}
#define EACH(step) for (size_t i = 0; i + 2 * (step) <= sizeof in; i += (step))
#define LOAD(at) _mm_loadu_si128((const __m128i *)(at))
#define STORE(at, v) _mm_storeu_si128((__m128i *)(at), v)
#define LOAD256(at) _mm256_loadu_si256((const __m256i *)(at))
#define STORE256(at, v) _mm256_storeu_si256((__m256i *)(at), v)
#define TARGET(names) __attribute__((target(names), noinline))

TARGET("sse3") static void sse3(void) {
  fill_floats();
  EACH(16) _mm_storeu_ps((float *)(out + i), _mm_addsub_ps(_mm_hadd_ps(_mm_loadu_ps((float *)(in + i)), _mm_set1_ps(2)), _mm_set1_ps(1)));
}
TARGET("ssse3") static void ssse3(void) {
  EACH(16) STORE(out + i, _mm_abs_epi8(_mm_shuffle_epi8(_mm_alignr_epi8(LOAD(in + i), LOAD(in + i + 16), 5), LOAD(in + i))));
}
TARGET("sse4.1") static void sse41(void) {
  EACH(16) STORE(out + i, _mm_blendv_epi8(_mm_mullo_epi32(LOAD(in + i), LOAD(in + i + 16)), _mm_minpos_epu16(LOAD(in + i)), LOAD(in + i)));
}
TARGET("sse4.2") static void sse42(void) {
  uint64_t crc = 1;
  EACH(16) {
    crc = _mm_crc32_u64(crc, *(uint64_t *)(in + i));
    STORE(out + i, _mm_cmpestrm(LOAD(in + i), 11, LOAD(in + i + 16), 16, _SIDD_UNIT_MASK));
  }
  memcpy(out, &crc, 8);
}
TARGET("popcnt") static void popcnt(void) {
  EACH(8) { uint64_t n = (uint64_t)_mm_popcnt_u64(*(uint64_t *)(in + i)); memcpy(out + i, &n, 8); }
}
TARGET("aes") static void aes(void) {
  EACH(16) STORE(out + i, _mm_aesenclast_si128(_mm_aesdec_si128(_mm_aesimc_si128(LOAD(in + i)), _mm_aeskeygenassist_si128(LOAD(in + i), 27)), LOAD(in + i + 16)));
}
TARGET("pclmul") static void pclmul(void) {
  EACH(16) STORE(out + i, _mm_clmulepi64_si128(LOAD(in + i), LOAD(in + i + 16), 0x10));
}
TARGET("movbe") static void movbe(void) {
  EACH(8) {
    uint64_t x;
    __asm__("movbe %1, %0" : "=r"(x) : "m"(*(uint64_t *)(in + i)));
    __asm__("movbe %1, %0" : "=m"(*(uint32_t *)(out + i)) : "r"((uint32_t)x));
  }
}
TARGET("avx") static void avx(void) {
  fill_floats();
  EACH(32) {
    __m256 a = _mm256_loadu_ps((float *)(in + i)), b = _mm256_loadu_ps((float *)(in + i + 32));
    _mm256_storeu_ps((float *)(out + i), _mm256_blendv_ps(_mm256_permute2f128_ps(_mm256_mul_ps(a, b), a, 3), _mm256_sqrt_ps(_mm256_mul_ps(b, b)), _mm256_cmp_ps(a, b, _CMP_LT_OQ)));
  }
}
TARGET("avx2") static void avx2(void) {
  EACH(32) {
    __m256i a = LOAD256(in + i), b = LOAD256(in + i + 32);
    __m256i indices = _mm256_and_si256(a, _mm256_set1_epi32(511));
    STORE256(out + i, _mm256_xor_si256(_mm256_i32gather_epi32((int *)in, indices, 4), _mm256_sllv_epi32(_mm256_permutevar8x32_epi32(a, b), _mm256_and_si256(b, _mm256_set1_epi32(31)))));
  }
}
TARGET("fma") static void fma3(void) {
  fill_floats();
  EACH(32) {
    __m256 a = _mm256_loadu_ps((float *)(in + i)), b = _mm256_loadu_ps((float *)(in + i + 32));
    _mm256_storeu_ps((float *)(out + i), _mm256_fmaddsub_ps(a, b, _mm256_fnmadd_ps(b, b, _mm256_set1_ps(0.1f))));
  }
}
TARGET("f16c") static void f16c(void) {
  fill_floats();
  EACH(32) STORE(out + i, _mm256_cvtps_ph(_mm256_add_ps(_mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps((float *)(in + i)), 0)), _mm256_set1_ps(0.3f)), 1));
}
TARGET("bmi") static void bmi1(void) {
  EACH(8) {
    uint64_t a = *(uint64_t *)(in + i), b = *(uint64_t *)(in + i + 8);
    a = __andn_u64(a, b) ^ _blsi_u64(a) ^ _blsmsk_u64(b) ^ _bextr_u64(a, 9, 20);
    memcpy(out + i, &a, 8);
  }
}
TARGET("bmi2") static void bmi2(void) {
  EACH(8) {
    uint64_t a = *(uint64_t *)(in + i), b = *(uint64_t *)(in + i + 8);
    unsigned long long high;
    a = _mulx_u64(_pdep_u64(a, b), _pext_u64(b, a), &high) ^ _bzhi_u64(a, b & 63);
    a ^= high;
    memcpy(out + i, &a, 8);
  }
}
/* Other instructions where it is not there: these do not end in a signal, but give another sum (BSR; BSF would leave 0 undefined). */
TARGET("lzcnt") static void lzcnt(void) {
  EACH(8) { uint64_t n = _lzcnt_u64(*(uint64_t *)(in + i) | 1); memcpy(out + i, &n, 8); }
}
TARGET("adx") static void adx(void) {
  EACH(8) {
    uint64_t a = *(uint64_t *)(in + i), b = *(uint64_t *)(in + i + 8);
    __asm__("xorl %%eax, %%eax; adcx %1, %0; adox %1, %0; adcx %1, %0" : "+r"(a) : "r"(b) : "rax", "cc");
    memcpy(out + i, &a, 8);
  }
}
TARGET("sha,sse4.1") static void sha(void) {
  EACH(16) {
    __m128i a = LOAD(in + i), b = LOAD(in + i + 16);
    STORE(out + i, _mm_xor_si128(_mm_sha256rnds2_epu32(a, b, _mm_sha256msg2_epu32(a, b)), _mm_sha1rnds4_epu32(a, _mm_sha1nexte_epu32(b, a), 2)));
  }
}
/* glibc chooses among its variants of these by what it finds. */
static void strings(void) {
  for (int i = 0; i < 4095; i++) if (in[i] == 0) in[i] = 1;
  in[4095] = 0;
  uint32_t *to = (uint32_t *)out;
  for (int at = 0; at < 200; at++) {
    size_t size = 17u * at % 700;
    *to++ = strlen((char *)in + 4095 - size);
    *to++ = (unsigned char *)memchr(in + at, in[at + size], size + 1) - in;
    *to++ = (unsigned char *)strrchr((char *)in + at, in[at + size]) - in;
    memmove(in + at + 3, in + at, size);
    *to++ = memcmp(in + at, in + at + 1, size) < 0;
    memset(in + 2 * at, at | 1, at);
  }
  add(in, sizeof in);
}
/* Long enough for REP MOVSB and STOSB where ERMS says that they are fast. */
static void blocks(void) {
  static unsigned char big[1 << 18];
  for (size_t at = 0; at + sizeof in <= sizeof big; at += sizeof in) memcpy(big + at, in, sizeof in), in[at >> 12]++;
  memcpy(big + (1 << 17) + 5, big + 3, 100000);
  memmove(big + 1000, big + 1, 90000);
  memset(big + 7, 0x5a, 20000);
  unsigned char *from = big + 30000, *to = big + 30003;
  size_t size = 9000;
  __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(size) : : "memory");
  add(big, sizeof big);
}

static unsigned basic[4], seven[4], extended[4];
static int has_ymm(void) {
  if (!(basic[2] >> 27 & 1)) return 0;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6;
}
static void run(const char *name, int is_there, void (*use)(void)) {
  printf("%s %s ", name, is_there ? "yes" : "no");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    sum = 2166136261u;
    fill();
    use();
    add(out, sizeof out);
    printf("%08x\n", sum);
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
}

int main(void) {
  __get_cpuid(1, &basic[0], &basic[1], &basic[2], &basic[3]);
  __get_cpuid_count(7, 0, &seven[0], &seven[1], &seven[2], &seven[3]);
  __get_cpuid(0x80000001, &extended[0], &extended[1], &extended[2], &extended[3]);
  unsigned c = basic[2], b = seven[1];
  int ymm = has_ymm();
  run("sse3", c & 1, sse3);
  run("ssse3", c >> 9 & 1, ssse3);
  run("sse4.1", c >> 19 & 1, sse41);
  run("sse4.2", c >> 20 & 1, sse42);
  run("popcnt", c >> 23 & 1, popcnt);
  run("aes", c >> 25 & 1, aes);
  run("pclmulqdq", c >> 1 & 1, pclmul);
  run("movbe", c >> 22 & 1, movbe);
  run("avx", ymm && c >> 28 & 1, avx);
  run("fma", ymm && c >> 12 & 1, fma3);
  run("f16c", ymm && c >> 29 & 1, f16c);
  run("avx2", ymm && b >> 5 & 1, avx2);
  run("bmi1", b >> 3 & 1, bmi1);
  run("bmi2", b >> 8 & 1, bmi2);
  run("lzcnt", extended[2] >> 5 & 1, lzcnt);
  run("adx", b >> 19 & 1, adx);
  run("sha", b >> 29 & 1, sha);
  run("strings", 1, strings);
  run("blocks", 1, blocks);
}

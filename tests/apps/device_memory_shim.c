/* An emulated device of little memory (kernels/emu/runtime.cc takes it with posix_memalign, which nothing else calls):
 *
 *   LD_PRELOAD=libdevice_memory_shim.so DEVICE_BYTES=1000000 DEVICE_PEAK=FILE furrow segment ... --device cpu-emulated
 *
 * DEVICE_BYTES   an allocation that would make more than this fails; absent or 0: none does
 * DEVICE_PEAK    a file that gets the most bytes that there were at once
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kAlignment = 256, kMost = 1 << 16 };   /* of what the emulated device hands out; blocks at once */

extern void* __libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void* memory);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct { void* memory; size_t bytes; } blocks[kMost];
static size_t count, now, peak;

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  const char* limit = getenv("DEVICE_BYTES");
  const size_t most = limit != NULL ? strtoull(limit, NULL, 10) : 0;
  int status = 0;
  pthread_mutex_lock(&mutex);
  if ((most > 0 && now + bytes > most) || count == kMost || (*memory = __libc_memalign(alignment, bytes)) == NULL) {
    status = ENOMEM;
  } else if (alignment == kAlignment) {
    blocks[count].memory = *memory, blocks[count].bytes = bytes, ++count;
    now += bytes;
    if (now > peak) peak = now;
  }
  pthread_mutex_unlock(&mutex);
  return status;
}

void free(void* memory) {
  if (memory != NULL && (uintptr_t)memory % kAlignment == 0) {
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < count; ++i)
      if (blocks[i].memory == memory) {
        now -= blocks[i].bytes;
        blocks[i] = blocks[--count];
        break;
      }
    pthread_mutex_unlock(&mutex);
  }
  __libc_free(memory);
}

__attribute__((destructor)) static void write_peak(void) {
  const char* path = getenv("DEVICE_PEAK");
  FILE* file = path != NULL ? fopen(path, "w") : NULL;
  if (file == NULL) return;
  fprintf(file, "%zu\n", peak);
  fclose(file);
}

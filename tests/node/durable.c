/* What a disk would hold after a power cut: each file as it was when it was last synced.
 *
 * Loaded into a process with LD_PRELOAD. Every fsync and fdatasync of a regular file below $DURABLE_FROM copies the
 * file's bytes to the same place below $DURABLE_TO; what was written and never synced is not there. Renames and new
 * names count as durable at once, as on a file system that orders metadata. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep(int fd) {
    char link[64], path[PATH_MAX], to[2 * PATH_MAX], part[2 * PATH_MAX + 8], *buffer;
    const char *below = getenv("DURABLE_FROM"), *root = getenv("DURABLE_TO");
    struct stat about;
    off_t at = 0;
    ssize_t got;
    int out;
    if (!below || !root || fstat(fd, &about) || !S_ISREG(about.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    got = readlink(link, path, sizeof path - 1);
    if (got < 0) return;
    path[got] = 0;
    if (strncmp(path, below, strlen(below))) return;
    snprintf(to, sizeof to, "%s%s", root, path + strlen(below));
    snprintf(part, sizeof part, "%s.part", to);
    out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0) return;
    buffer = malloc(1 << 16);
    int in = open(link, O_RDONLY);
    while (buffer && in >= 0 && (got = pread(in, buffer, 1 << 16, at)) > 0) {
        if (write(out, buffer, got) != got) _exit(99);
        at += got;
    }
    free(buffer);
    if (in >= 0) close(in);
    close(out);
    rename(part, to);
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int result = real(fd);
    if (!result) keep(fd);
    return result;
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (!result) keep(fd);
    return result;
}

/* A PKCS#11 module that misbehaves on demand, around a real one (SoftHSM2).
 *
 * STUB_REAL   the real module
 * STUB_FAIL   FUNCTION=VALUE[,...]: the function returns VALUE (hexadecimal) instead of doing its
 *             work; "crash" and "hang" are values too
 * STUB_WHEN   a file: only while it exists does STUB_FAIL count
 * STUB_AFTER  a function: only once it was called, and then for that call too, does STUB_FAIL count
 * STUB_FDS    a file: what this process has open, a line each, when the module is loaded
 * STUB_FLAGS  hexadecimal: flags that every token has besides its own
 * STUB_LABEL  every token's label
 * STUB_KILL   a number: before this many-th call that opens, closes, makes, destroys or derives
 *             something, the process that asked for it is killed
 * STUB_TRY    a file: what this process may do when the module is loaded, a line each; STUB_SECRET
 *             is a file that it tries to read, STUB_PLANT one that it tries to make
 * STUB_LOG    a file: the name of every function that is called, a line each
 *
 * All arguments of PKCS#11 functions are integers or pointers, so one type of wrapper with the
 * largest number of arguments does for all of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)(word, word, word, word, word, word, word, word);

struct list {
    unsigned char version[2];
    function functions[68];
};

static struct list *real;
static struct list ours;

static void record(const char *name) {
    const char *path = getenv("STUB_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (!log) return;
    fprintf(log, "%s\n", name);
    fclose(log);
}

/* Whether `name` is to fail, and with what. */
static int fails(const char *name, word *value) {
    static int begun;
    const char *when = getenv("STUB_WHEN"), *rules = getenv("STUB_FAIL");
    const char *after = getenv("STUB_AFTER");
    if (after && strcmp(after, name) == 0) begun = 1;
    if (!rules || (after && !begun) || (when && access(when, F_OK) != 0)) return 0;
    size_t length = strlen(name);
    for (const char *rule = rules; rule; rule = strchr(rule, ',')) {
        if (*rule == ',') rule++;
        if (strncmp(rule, name, length) != 0 || rule[length] != '=') continue;
        const char *what = rule + length + 1;
        if (strncmp(what, "crash", 5) == 0) abort();
        if (strncmp(what, "hang", 4) == 0) for (;;) pause();
        *value = strtoul(what, NULL, 16);
        return 1;
    }
    return 0;
}

/* Kills the process at the other end of the pipe when its time has come. */
static void strike(const char *name) {
    static const char *steps[] = {"C_OpenSession", "C_CloseSession", "C_CreateObject",
                                  "C_DestroyObject", "C_GenerateKeyPair", "C_DeriveKey"};
    static int count;
    const char *when = getenv("STUB_KILL");
    for (unsigned i = 0; when && i < sizeof steps / sizeof *steps; i++)
        if (strcmp(name, steps[i]) == 0 && ++count == atoi(when)) kill(getppid(), SIGKILL);
}

/* Whether a program can be started. */
static int starts(void) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* Tries what no module has to do, and some that it has. */
static void try_all(void) {
    const char *path = getenv("STUB_TRY");
    const char *secret = getenv("STUB_SECRET"), *plant = getenv("STUB_PLANT");
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!out) return;
    fprintf(out, "settings %d\n", open("/etc/passwd", O_RDONLY) >= 0);
    fprintf(out, "network %d\n", socket(AF_INET, SOCK_STREAM, 0) >= 0);
    fprintf(out, "secret %d\n", secret && open(secret, O_RDONLY) >= 0);
    fprintf(out, "plant %d\n", plant && open(plant, O_WRONLY | O_CREAT, 0600) >= 0);
    fprintf(out, "packets %d\n", socket(AF_PACKET, SOCK_RAW, 0) >= 0);
    fprintf(out, "trace %d\n", ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0);
    fprintf(out, "start %d\n", starts());
    fclose(out);
}

/* Tells what is open. */
static void tell(void) {
    const char *path = getenv("STUB_FDS");
    FILE *out = path ? fopen(path, "w") : NULL;
    for (int fd = 0; out && fd < 256; fd++) {
        char link[32], file[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, file, sizeof file);
        if (length > 0) fprintf(out, "%.*s\n", (int)length, file);
    }
    if (out) fclose(out);
}

#define FUNCTIONS(F) \
    F(0, C_Initialize) F(1, C_Finalize) F(4, C_GetSlotList) F(6, C_GetTokenInfo) \
    F(12, C_OpenSession) F(13, C_CloseSession) F(15, C_GetSessionInfo) F(18, C_Login) \
    F(19, C_Logout) F(20, C_CreateObject) F(22, C_DestroyObject) F(24, C_GetAttributeValue) \
    F(26, C_FindObjectsInit) F(59, C_GenerateKeyPair) F(62, C_DeriveKey)

#define WRAP(index, name) \
    static word name(word a, word b, word c, word d, word e, word f, word g, word h) { \
        word value; \
        record(#name); \
        strike(#name); \
        if (fails(#name, &value)) return value; \
        value = real->functions[index](a, b, c, d, e, f, g, h); \
        if (index == 6 && value == 0) describe((unsigned char *)b); \
        return value; \
    }
#define PUT(index, name) ours.functions[index] = name;

/* CK_TOKEN_INFO begins with a label of 32 bytes; its flags are at 96. */
static void describe(unsigned char *info) {
    const char *flags = getenv("STUB_FLAGS"), *label = getenv("STUB_LABEL");
    if (flags) {
        word all;
        memcpy(&all, info + 96, sizeof all);
        all |= strtoul(flags, NULL, 16);
        memcpy(info + 96, &all, sizeof all);
    }
    if (label) {
        memset(info, ' ', 32);
        memcpy(info, label, strlen(label) < 32 ? strlen(label) : 32);
    }
}

FUNCTIONS(WRAP)

word C_GetFunctionList(struct list **list) {
    printf("this module talks on standard output\n");
    fflush(stdout);
    tell();
    try_all();
    void *library = dlopen(getenv("STUB_REAL"), RTLD_NOW);
    word (*get)(struct list **) = library ? dlsym(library, "C_GetFunctionList") : NULL;
    if (!get || get(&real) != 0) return 5;
    ours = *real;
    FUNCTIONS(PUT)
    *list = &ours;
    return 0;
}

// Runs a program and counts its instructions, by single steps, between signals that it sends itself.
//
//   steps PROGRAM [ARG]...      prints: HOST WORKER
//
// SIGUSR1 begins and ends what counts for the host, SIGUSR2 for the worker; neither arrives. Counted is the thread
// that got the signal, without what the kernel does for it. No address is random, so that every run is the same.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void start(char **argv) {
    if (personality(ADDR_NO_RANDOMIZE) < 0) fail("personality");
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) fail("ptrace");
    // What it says is no figure.
    dup2(2, 1);
    execv(argv[0], argv);
    fail(argv[0]);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    // A step takes ten times as long when it goes to another core and back.
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one)) fail("sched_setaffinity");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) start(argv + 1);
    unsigned long counts[2] = {0, 0}, *counting = NULL;
    for (int begun = 0;; begun = 1) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0) fail("waitpid");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread != child) continue;
            if (!WIFEXITED(status)) return 1;
            if (WEXITSTATUS(status) == 0) printf("%lu %lu\n", counts[0], counts[1]);
            return WEXITSTATUS(status);
        }
        // Threads are followed, and end with this.
        if (!begun && ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) fail("ptrace");
        int signal = WSTOPSIG(status);
        static pid_t counted;
        if (signal == SIGUSR1 || signal == SIGUSR2) {
            counting = counting ? NULL : &counts[signal == SIGUSR2];
            counted = thread;
            signal = 0;
        } else if (signal == SIGTRAP || signal == SIGSTOP) {
            // A step, a thread that begins, or the news of one.
            if (counting && thread == counted) ++*counting;
            signal = 0;
        }
        // Other signals are its own. A thread may be gone by now.
        ptrace(counting && thread == counted ? PTRACE_SINGLESTEP : PTRACE_CONT, thread, 0, signal);
    }
}

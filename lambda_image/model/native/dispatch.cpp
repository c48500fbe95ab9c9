// Which of the library's instruction sets this processor has; compiled for the oldest processor of its kind.

extern "C" const char* instruction_set() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    return avx2 && avx512 ? "avx512" : avx2 ? "avx2" : "";
#else
    return "neon";  // every 64-bit Arm processor has it
#endif
}

;; Tasks that take their time, by the clock and the random numbers of WASI preview 1.
(module
  (import "wasi_snapshot_preview1" "random_get"
    (func $random_get (param $at i32) (param $length i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param $in i32) (param $out i32) (param $n i32) (param $at i32) (result i32)))

  (memory (export "memory") 1)

  ;; 0: a subscription (48 bytes), 64: the event (32 bytes), 96: a count, 128: a random number.
  (func $sleep (param $nanoseconds i64)
    (i32.store8 (i32.const 8) (i32.const 0))                ;; to a clock,
    (i32.store (i32.const 16) (i32.const 1))                ;; the monotonic one,
    (i64.store (i32.const 24) (local.get $nanoseconds))     ;; which reaches this,
    (i32.store16 (i32.const 40) (i32.const 0))              ;; counted from now
    (if (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96))
      (then unreachable)))

  ;; Sleeps for a random time of up to 200 ms; gives the time in seconds.
  (func (export "nap") (param $identifier i64) (result f64)
    (local $nanoseconds i64)
    (if (call $random_get (i32.const 128) (i32.const 8)) (then unreachable))
    (local.set $nanoseconds
      (i64.rem_u (i64.load (i32.const 128)) (i64.const 200_000_000)))
    (call $sleep (local.get $nanoseconds))
    (f64.div (f64.convert_i64_u (local.get $nanoseconds)) (f64.const 1e9)))

  ;; Sleeps for so many milliseconds, and returns nothing.
  (func (export "pause") (param $milliseconds i64)
    (call $sleep (i64.mul (local.get $milliseconds) (i64.const 1_000_000))))

  ;; The sum of two numbers, after so many milliseconds.
  (func (export "slow-add") (param $x i64) (param $y i64) (param $milliseconds i64) (result i64)
    (call $sleep (i64.mul (local.get $milliseconds) (i64.const 1_000_000)))
    (i64.add (local.get $x) (local.get $y))))

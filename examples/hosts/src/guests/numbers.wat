;; Functions over numbers: the smallest task module there is.
(module
  (func (export "square") (param $x i64) (result i64)
    (i64.mul (local.get $x) (local.get $x)))

  (func (export "cube") (param $x i64) (result i64)
    (i64.mul (local.get $x) (i64.mul (local.get $x) (local.get $x))))

  (func (export "add") (param $x i64) (param $y i64) (result i64)
    (i64.add (local.get $x) (local.get $y)))

  ;; Traps on a divisor of zero.
  (func (export "divide") (param $x i64) (param $y i64) (result i64)
    (i64.div_s (local.get $x) (local.get $y))))

//! Types of other modules: by path, by `use`, by glob, renamed, nested, and defined later.

#![deny(warnings)]

use sandpool_guest::task;
use shapes::*;
use solids::Cube as Die;

#[task]
fn by_path(line: solids::Edge) -> Vec<solids::Edge> {
    vec![line]
}

#[task]
fn by_glob(polygon: Polygon) -> Polygon {
    polygon
}

#[task]
fn renamed(die: Option<Die>) -> bool {
    die.is_some()
}

#[task]
fn defined_later(later: Later) -> crate::Later {
    later
}

mod solids {
    use super::shapes;
    use sandpool_guest::TaskType;

    #[derive(TaskType)]
    pub(crate) struct Edge {
        from: shapes::Point,
        to: shapes::Point,
    }

    #[derive(TaskType)]
    pub(crate) struct Cube {
        edges: Vec<Edge>,
    }

    pub(crate) fn edge() -> Edge {
        Edge { from: shapes::Point { x: 0.0 }, to: shapes::Point { x: 1.0 } }
    }

    pub(crate) fn cube() -> Cube {
        Cube { edges: vec![edge()] }
    }
}

mod shapes {
    #[derive(sandpool_guest::TaskType)]
    pub(crate) struct Polygon {
        pub(crate) points: Vec<Point>,
    }

    #[derive(sandpool_guest::TaskType)]
    pub(crate) struct Point {
        pub(crate) x: f64,
    }
}

#[derive(sandpool_guest::TaskType)]
struct Later {
    r#type: u8,
}

macro_rules! echo {
    ($name:ident, $of:ty) => {
        #[task]
        fn $name(value: $of) -> $of {
            value
        }
    };
}

echo!(echo_number, u8);
echo!(echo_later, Vec<Later>);

fn main() {
    assert_eq!(by_path(solids::edge()).len(), 1);
    assert_eq!(by_glob(Polygon { points: vec![Point { x: 1.0 }] }).points[0].x, 1.0);
    assert!(renamed(Some(solids::cube())));
    assert_eq!(defined_later(Later { r#type: 3 }).r#type, 3);
    assert_eq!((echo_number(1), echo_later(Vec::new()).len()), (1, 0));
}

//! Runs what the fuzzer found worth keeping, and the beginnings that it starts from, through the same checks:
//! see `fuzz/`.

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;
#[path = "../../fuzz/src/frames.rs"]
mod frames;
#[path = "../../fuzz/src/turn.rs"]
mod turn;

use std::path::Path;

/// Checks every input of a corpus.
fn each(corpus: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(corpus);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("it can be read").path();
        println!("{}", path.display());
        check(&std::fs::read(&path).expect("it can be read"));
        inputs += 1;
    }
    assert!(inputs >= 3, "{inputs} in {}", folder.display());
}

#[test]
fn turn() {
    each("turn", turn::check);
}

#[test]
fn frames() {
    each("frames", frames::check);
}

#[test]
fn bodies() {
    each("bodies", bodies::check);
}

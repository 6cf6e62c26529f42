//! Runs what the fuzzer found worth keeping, and the beginnings that it starts from, through the same checks:
//! see `fuzz/`.

#[path = "../../fuzz/src/turn.rs"]
mod turn;

use std::path::Path;

#[test]
fn turn() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/turn");
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("it can be read").path();
        println!("{}", path.display());
        turn::check(&std::fs::read(&path).expect("it can be read"));
        inputs += 1;
    }
    assert!(inputs >= 3, "{inputs} in {}", folder.display());
}

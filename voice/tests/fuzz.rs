//! Runs what the fuzzer found worth keeping, and the beginnings that it starts from, through the same checks:
//! see `fuzz/`.

#[path = "../../fuzz/src/payloads.rs"]
mod payloads;
#[path = "../../fuzz/src/scrubbing.rs"]
mod scrubbing;

use std::path::Path;

fn corpus(name: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
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
fn payloads() {
    corpus("payloads", payloads::check);
}

#[test]
fn scrubbing() {
    corpus("scrubbing", scrubbing::check);
}

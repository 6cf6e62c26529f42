"""Parses Swift files, and says where what is written is no Swift."""

import sys
from pathlib import Path

import tree_sitter
import tree_sitter_swift


def errors(node):
    """Where the parser could make nothing of the text, or misses something."""
    if node.is_error or node.is_missing:
        yield node
    else:
        for child in node.children:
            yield from errors(child)


def main(files):
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    bad = 0
    for file in files:
        root = parser.parse(Path(file).read_bytes()).root_node
        for node in errors(root):
            row, column = node.start_point
            text = node.text.decode(errors="replace").splitlines()
            print(f"{file}:{row + 1}:{column + 1}: no Swift: {text[0] if text else node.type}")
            bad += 1
    return 1 if bad or not files else 0


sys.exit(main(sys.argv[1:]))

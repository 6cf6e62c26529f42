#!/bin/sh
# Stands in for a C compiler that makes code for another platform. Checking Rust never links, so an
# empty object does; only what is asked about the compiler itself gets an answer from the real one.
made=
last=
for word in "$@"; do
    # This is how one asks whether it takes Microsoft's options: it does not.
    [ "$word" = "-?" ] && exit 1
    [ "$last" = "-o" ] && made=$word
    [ "$word" = "-E" ] && asked=yes
    last=$word
done
[ -n "$asked" ] && exec cc -E "$last"
[ -z "$made" ] || exec cc -x c -c /dev/null -o "$made"

#!/bin/sh
# What cargo calls for the project's own crates: a warning there is an error.
exec "$@" -Dwarnings

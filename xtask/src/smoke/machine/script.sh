#!/bin/busybox sh
# A program that only its first line makes one: the kernel passes it to an interpreter of the other platform.
echo "script $# $1"

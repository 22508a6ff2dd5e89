"""`make bench`: what this repository costs beside what a user would use instead, on this machine.

    python -m tests.bench [PART …] [--size MB] [--runs N] [--out DIR]

__main__    the doorway: runs the parts, prints the table; a run of all parts writes it to the README
parts       what is measured: add, fetch, unzip, whole, again, growth, startup
worlds      the folders commands run in: a clone of this repository, a plain DVC one, an empty one
archives    made data, shaped like region features
server      nginx as a Blob service, with and without a cap per connection
peers       programs that are not ours: where they are, and how to install them
measure     one run of a command; contenders in alternating runs
report      the table, the README's section
plot        the same as SVG
"""

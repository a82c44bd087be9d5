-- Instants are whole microseconds since 1970 in UTC. Values of Hanse's own types are canonical JSON.

CREATE TABLE meta (
  name text PRIMARY KEY,
  value text NOT NULL
) STRICT;

-- What was decided and what happened: rows are only ever added. `chain` is empty until the chainer came by.
CREATE TABLE journal (
  sequence integer PRIMARY KEY,
  writer text NOT NULL,
  number integer NOT NULL,
  at integer NOT NULL,
  body blob NOT NULL,
  chain text NOT NULL DEFAULT '',
  UNIQUE (writer, number)
) STRICT;

-- Texts about people, by the mark that stands for them everywhere else. Deleting a row erases the text.
CREATE TABLE personal (
  mark text PRIMARY KEY,
  text text NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
  digest text PRIMARY KEY,
  content blob NOT NULL
) STRICT;

-- One row at most.
CREATE TABLE head (
  one integer PRIMARY KEY CHECK (one = 1),
  commit_id text NOT NULL,
  at integer NOT NULL,
  directory text NOT NULL REFERENCES blob (digest),
  settings text NOT NULL REFERENCES blob (digest)
) STRICT;

-- What is accepted of each owner, and what the last pass found of it (a view).
CREATE TABLE owner (
  owner text PRIMARY KEY,
  intent text NOT NULL REFERENCES blob (digest),
  commit_id text NOT NULL,
  held blob NOT NULL,
  applied text NOT NULL DEFAULT '',
  directory text NOT NULL DEFAULT '',
  applied_at integer,
  observed_at integer,
  steps_left integer NOT NULL DEFAULT 0,
  ours blob NOT NULL DEFAULT x'5b5d',
  waits text NOT NULL DEFAULT '',
  remarks blob NOT NULL DEFAULT x'5b5d'
) STRICT;

-- Views of the journal, written in the same transaction as the event.

CREATE TABLE open_step (
  digest text PRIMARY KEY,
  sequence integer NOT NULL REFERENCES journal (sequence)
) STRICT;

CREATE TABLE approval (
  subject text PRIMARY KEY,
  expires_at integer,
  content blob NOT NULL
) STRICT;

CREATE TABLE revocation (
  digest text PRIMARY KEY,
  at integer NOT NULL,
  content blob NOT NULL
) STRICT;

-- Caches of what git can tell again.

CREATE TABLE provenance (
  source text PRIMARY KEY,
  content blob NOT NULL
) STRICT;

CREATE TABLE parsed (
  blob_id text PRIMARY KEY,
  content blob NOT NULL
) STRICT;

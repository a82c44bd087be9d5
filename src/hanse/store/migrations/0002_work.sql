-- When each owner is to be looked at next, and why. A mark raises `generation`; a look that ends writes the one that it
-- began with into `seen`. An owner that is forgotten takes its row along.
CREATE TABLE work (
  owner text PRIMARY KEY REFERENCES owner (owner) ON DELETE CASCADE,
  platform text NOT NULL,
  generation integer NOT NULL,
  seen integer NOT NULL DEFAULT 0,
  due integer,
  attempts integer NOT NULL DEFAULT 0,
  why text NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX work_due ON work (platform, due) WHERE due IS NOT NULL;

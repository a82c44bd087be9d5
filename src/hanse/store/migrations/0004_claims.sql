-- Who looks at an owner just now, and until when nobody else does: instants of the store's own clock.
ALTER TABLE work ADD COLUMN holder text NOT NULL DEFAULT '';
ALTER TABLE work ADD COLUMN claimed_until integer;

CREATE INDEX work_claimed ON work (platform, claimed_until) WHERE claimed_until IS NOT NULL;

-- Who does what only one process does at a time, and until when.
CREATE TABLE lease (
  name text PRIMARY KEY,
  holder text NOT NULL,
  until integer NOT NULL
) STRICT;

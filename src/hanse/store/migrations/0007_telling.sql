-- What sort of thing an owner waits for, what somebody can do about it, and since when all that is told of it is so.
ALTER TABLE owner ADD COLUMN waits_code text NOT NULL DEFAULT '';
ALTER TABLE owner ADD COLUMN advice text NOT NULL DEFAULT '';
ALTER TABLE owner ADD COLUMN since blob NOT NULL DEFAULT x'7b7d';

-- How a platform is, as each process that serves says it every few seconds.
CREATE TABLE serving (
  name text PRIMARY KEY,
  at integer NOT NULL,
  content blob NOT NULL
) STRICT;

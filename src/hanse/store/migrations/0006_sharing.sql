-- How often an owner was claimed, so that one sees whether somebody looked at it meanwhile; and whose turn it is.
ALTER TABLE work ADD COLUMN claims integer NOT NULL DEFAULT 0;
ALTER TABLE work ADD COLUMN workspace text NOT NULL DEFAULT '';

-- When all calls to a platform that were let through would be over, if they were let through one by one.
CREATE TABLE budget (
  platform text PRIMARY KEY,
  until integer NOT NULL
) STRICT;

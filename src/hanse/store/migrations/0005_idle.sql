-- Since when nothing names a content any more; empty where something does, or where nobody has looked.
ALTER TABLE blob ADD COLUMN idle_since integer;

-- So that a content can go without a look at every owner.
CREATE INDEX owner_intent ON owner (intent);

-- 1: the journal has the mark, so that the text stays. Others go once nothing has their mark.
ALTER TABLE personal ADD COLUMN journalled integer NOT NULL DEFAULT 1;

-- Why a revocation stands in no commit yet; empty where it does, or where nobody has tried.
ALTER TABLE revocation ADD COLUMN waits text NOT NULL DEFAULT '';

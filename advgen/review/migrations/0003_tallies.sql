-- Counts per combination of what filters ask for, so that progress does not count items one by one.
-- Triggers keep them up to date with votes; bringing in runs computes them anew (intake.py).
CREATE TABLE facets (
    pair TEXT NOT NULL,
    method TEXT NOT NULL,
    fooled INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    disputed INTEGER NOT NULL,
    single_open INTEGER NOT NULL,
    shared INTEGER NOT NULL,
    PRIMARY KEY (pair, method, fooled, judged, disputed)
) WITHOUT ROWID;

CREATE TABLE tallies (
    reviewer TEXT NOT NULL,
    pair TEXT NOT NULL,
    method TEXT NOT NULL,
    fooled INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    disputed INTEGER NOT NULL,
    done INTEGER NOT NULL,
    shared_done INTEGER NOT NULL,
    PRIMARY KEY (reviewer, pair, method, fooled, judged, disputed)
) WITHOUT ROWID;

INSERT INTO facets
SELECT pair, method, fooled, judged, disputed, sum(shared = 0 AND votes = 0), sum(shared)
FROM items WHERE current = 1 GROUP BY pair, method, fooled, judged, disputed;

INSERT INTO tallies
SELECT reviewer, pair, method, fooled, judged, disputed, count(*), sum(shared)
FROM standing JOIN items ON items.number = standing.item
WHERE current = 1 GROUP BY reviewer, pair, method, fooled, judged, disputed;

CREATE TRIGGER standing_counts AFTER INSERT ON standing
BEGIN
    INSERT OR IGNORE INTO tallies
    SELECT NEW.reviewer, pair, method, fooled, judged, disputed, 0, 0
    FROM items WHERE number = NEW.item AND current = 1;
    UPDATE tallies SET
        done = done + 1,
        shared_done = shared_done + (SELECT shared FROM items WHERE number = NEW.item)
    WHERE reviewer = NEW.reviewer AND (pair, method, fooled, judged, disputed) = (
        SELECT pair, method, fooled, judged, disputed FROM items
        WHERE number = NEW.item AND current = 1
    );
END;

CREATE TRIGGER standing_uncounts AFTER DELETE ON standing
BEGIN
    UPDATE tallies SET
        done = done - 1,
        shared_done = shared_done - (SELECT shared FROM items WHERE number = OLD.item)
    WHERE reviewer = OLD.reviewer AND (pair, method, fooled, judged, disputed) = (
        SELECT pair, method, fooled, judged, disputed FROM items
        WHERE number = OLD.item AND current = 1
    );
END;

CREATE TRIGGER items_open_or_not AFTER UPDATE OF votes ON items
WHEN NEW.current = 1 AND NEW.shared = 0 AND (OLD.votes = 0) <> (NEW.votes = 0)
BEGIN
    UPDATE facets SET single_open = single_open + (NEW.votes = 0) - (OLD.votes = 0)
    WHERE pair = NEW.pair AND method = NEW.method AND fooled = NEW.fooled
        AND judged = NEW.judged AND disputed = NEW.disputed;
END;

-- What stands now, derived from the votes by triggers, so that the next image is found by index.
ALTER TABLE items ADD COLUMN votes INTEGER NOT NULL DEFAULT 0;

CREATE TABLE standing (
    reviewer TEXT NOT NULL,
    item INTEGER NOT NULL REFERENCES items (number),
    vote INTEGER NOT NULL REFERENCES votes (id),
    PRIMARY KEY (reviewer, item)
) WITHOUT ROWID;

CREATE INDEX standing_by_item ON standing (item);

INSERT INTO standing (reviewer, item, vote)
SELECT reviewer, item, max(id) FROM votes
WHERE withdraws IS NULL AND id NOT IN (SELECT withdraws FROM votes WHERE withdraws IS NOT NULL)
GROUP BY reviewer, item;

UPDATE items SET votes = (SELECT count(*) FROM standing WHERE standing.item = items.number);

CREATE TRIGGER votes_stand AFTER INSERT ON votes
WHEN NEW.withdraws IS NULL
BEGIN
    DELETE FROM standing WHERE reviewer = NEW.reviewer AND item = NEW.item;
    INSERT INTO standing (reviewer, item, vote) VALUES (NEW.reviewer, NEW.item, NEW.id);
    UPDATE items SET votes = (SELECT count(*) FROM standing WHERE item = NEW.item)
    WHERE number = NEW.item;
END;

CREATE TRIGGER votes_fall AFTER INSERT ON votes
WHEN NEW.withdraws IS NOT NULL
BEGIN
    DELETE FROM standing WHERE reviewer = NEW.reviewer AND item = NEW.item;
    INSERT INTO standing (reviewer, item, vote)
    SELECT reviewer, item, max(id) FROM votes
    WHERE item = NEW.item AND reviewer = NEW.reviewer AND withdraws IS NULL
        AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.withdraws = votes.id)
    GROUP BY reviewer, item;
    UPDATE items SET votes = (SELECT count(*) FROM standing WHERE item = NEW.item)
    WHERE number = NEW.item;
END;

CREATE INDEX items_shown ON items (place, pair, method, fooled, disputed, judged)
WHERE current = 1;

CREATE INDEX items_open ON items (place, pair, method, fooled, disputed, judged)
WHERE current = 1 AND shared = 0 AND votes = 0;

CREATE INDEX items_shared ON items (place, pair, method, fooled, disputed, judged)
WHERE current = 1 AND shared = 1;

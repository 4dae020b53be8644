-- Conversations with agents, in the file of transcripts.

-- name: add_conversation
INSERT INTO smithers_conversations (run, node, scope, iteration, generation, attempt, agent, began_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: has_conversation
-- It may have been deleted to make room while it went on, or the file may be another one.
SELECT 1 FROM smithers_conversations
WHERE id = ? AND run = ? AND node = ? AND scope = ? AND iteration = ? AND generation = ? AND attempt = ? AND agent = ?
  AND began_ms = ?;

-- name: add_entry
INSERT INTO smithers_entries (conversation, serial, turn, kind, at_ms, text, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: conversations
SELECT run, node, scope, iteration, generation, attempt, agent, began_ms, id FROM smithers_conversations
WHERE run = ? ORDER BY id;

-- name: entries
SELECT e.id, e.conversation, e.serial, e.turn, e.kind, c.began_ms + e.at_ms, e.text, e.data
FROM smithers_entries e JOIN smithers_conversations c ON c.id = e.conversation
WHERE e.conversation = ? AND e.id > ? ORDER BY e.id LIMIT ?;

-- name: newer
-- As they came. CROSS JOIN: few entries are new, and a run may have many old ones.
SELECT e.id, e.conversation, e.serial, e.turn, e.kind, c.began_ms + e.at_ms, e.text, e.data
FROM smithers_entries e CROSS JOIN smithers_conversations c ON c.id = e.conversation
WHERE e.id > ? AND c.run = ? ORDER BY e.id LIMIT ?;

-- name: last
SELECT id FROM smithers_entries WHERE conversation IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?;

-- name: newest
SELECT coalesce(max(id), 0) FROM smithers_entries;

-- name: oldest
-- The oldest conversations of the run that was silent for the longest time. Never the newest, nor that of the newest
-- entry: the highest ids stay, so that none is given twice.
SELECT id FROM smithers_conversations
WHERE run = (SELECT run FROM smithers_conversations GROUP BY run ORDER BY max(id) LIMIT 1)
  AND id < (SELECT max(id) FROM smithers_conversations)
  AND id <> (SELECT conversation FROM smithers_entries ORDER BY id DESC LIMIT 1)
ORDER BY id LIMIT ?;

-- name: remove_entries
DELETE FROM smithers_entries WHERE conversation IN (SELECT value FROM json_each(?));

-- name: remove_conversations
DELETE FROM smithers_conversations WHERE id IN (SELECT value FROM json_each(?));

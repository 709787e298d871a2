from django.db import migrations

FORBID = """
CREATE FUNCTION sep31_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END $$;
CREATE TRIGGER sep31_event_append_only BEFORE UPDATE OR DELETE ON sep31_event
    FOR EACH ROW EXECUTE FUNCTION sep31_event_is_append_only();
"""
ALLOW = """
DROP TRIGGER sep31_event_append_only ON sep31_event;
DROP FUNCTION sep31_event_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("sep31", "0001_initial")]

    operations = [migrations.RunSQL(FORBID, ALLOW)]

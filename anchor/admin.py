"""Staff, their groups, and what they did."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from kernel.admin import DateFilter, RecordAdmin, at

admin.site.index_title = "Dashboard"
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the history names them; whoever leaves is made inactive


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    actions = None


@admin.register(LogEntry)
class LogEntryAdmin(RecordAdmin):
    """The history of everyone. Messages hold what was done, never what was seen."""

    list_display = ("when", "user", "content_type", "object_repr", "what")
    list_filter = ("user", ("action_time", DateFilter))
    list_select_related = ("user", "content_type")
    ordering = ("-pk",)

    @display(description="When", ordering="pk")
    def when(self, row: LogEntry) -> str:
        return at(row.action_time)

    @display(description="What")
    def what(self, row: LogEntry) -> str:
        return row.get_change_message()

"""Campaigns: comparisons handed out to labelers, their votes, and what they show."""

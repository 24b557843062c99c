#!/usr/bin/env bash
# Writes FILE as a comment on a pull request or an issue, replacing the one with the same MARK if it exists.
# Usage: comment.sh NUMBER MARK FILE, with GH_TOKEN and GITHUB_REPOSITORY as in a step of a workflow.
set -euo pipefail

number=$1 file=$3
export MARK="<!-- $2 -->"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{ printf '%s\n' "$MARK"; cat "$file"; } > "$body"
text=$(LC_ALL=C.UTF-8; cut=$(< "$body"); ((${#cut} <= 65536)) || printf %s "${cut:0:65400}")
if [[ -n $text ]]; then
  # More than GitHub accepts. The tool itself stays below the limit, but does not count the mark
  printf '%s\n\nThe rest does not fit into a comment.\n' "$text" > "$body"
fi

issues=repos/$GITHUB_REPOSITORY/issues
# Only comments by workflows: anybody can begin a comment with the mark
ours='.[] | select(.user.login == "github-actions[bot]" and (.body | startswith(env.MARK))) | .id'
ids=$(gh api --paginate "$issues/$number/comments?per_page=100" --jq "$ours")
if [[ -n $ids ]]; then
  gh api --silent -X PATCH "$issues/comments/${ids%%$'\n'*}" -F "body=@$body"
else
  gh api --silent -X POST "$issues/$number/comments" -F "body=@$body"
fi

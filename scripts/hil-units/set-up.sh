# Read by inside.sh: the set-up page under systemd, from a running camera through a set-up that is opened again back to a camera.

page=https://127.0.0.1:8443
owner() { stat -c %U /etc/candor-edge/"$1"; }
is() { [ "$(show "$1" ActiveState)" = "$2" ]; }
# As the page asks; the certificate is the unit's own, and its SHA-256 stands in the journal.
ask() { # METHOD PATH [JSON]
  curl --silent --show-error --fail-with-body --insecure --max-time 60 --cookie-jar /var/candor-units/cookies --cookie /var/candor-units/cookies \
    --request "$1" --header "Origin: $page" --header 'Content-Type: application/json' ${3:+--data "$3"} "$page$2"
}
code() { journalctl -o cat -u candor-setup | sed -n 's/^ *code \([^ ]*\).*/\1/p' | tail -n 1; }

systemd-sysusers
systemctl start candor-cloud candor-edge
systemctl start candor-setup.timer
sleep 3
is edge active && ! is setup active; held=$?
check 'setup: the timer opens nothing on a unit that is set up' "edge $(show edge ActiveState), setup $(show setup ActiveState)"

systemctl start candor-setup
until_true 60 is edge active
[ "$(show setup ExecMainStatus)" -eq 78 ]; held=$?
check 'setup: it refuses a unit that is set up, and the camera runs on' "exit $(show setup ExecMainStatus), edge $(show edge ActiveState)"

/opt/candor/scripts/candor.ts setup --reopen >/dev/null
until_true 120 is setup active
is edge inactive && [ "$(owner key.pem)" = candor-setup ]; held=$?
check 'setup: opened again it takes the place of the camera, and the folder' "edge $(show edge ActiveState), key.pem is $(owner key.pem)'s"

listening="$(ss -H -tlnp | grep -v :8883 | awk '{print $4, $6}' | grep node | awk '{print $1}')"
! printf '%s\n' "$listening" | grep -qE '^(0\.0\.0\.0|\*|\[::\])' && printf '%s\n' "$listening" | grep -q :8443; held=$?
check 'setup: it listens at single addresses, at none for all' "$(printf '%s' "$listening" | tr '\n' ' ')"

ask POST /api/login '{"code":"0000-0000"}' >/dev/null 2>&1
[ "$?" -eq 22 ] && ask POST /api/login "{\"code\":\"$(code)\"}" >/dev/null; held=$?
check 'setup: a wrong code is refused, the one in the journal is taken' "$(ask GET /api/state | head -c 60)"

mask='[[0,0],[0.2,0],[0.2,0.2],[0,0.2]]'
ask POST /api/view "{\"region\":null,\"masks\":[$mask]}" >/dev/null && ask POST /api/finish '{}' >/dev/null
until_true 120 is edge active
grep -q '"masks"' /etc/candor-edge/edge.json && [ ! -e /etc/candor-edge/set-up ] && is setup inactive; held=$?
check 'setup: finished, its configuration is written and the camera runs' "edge $(show edge ActiveState), setup $(show setup Result)"

[ "$(owner edge.json)$(owner key.pem)$(owner .)" = rootrootroot ] && [ "$(stat -c %a /etc/candor-edge/edge.json)" = 600 ]; held=$?
check 'setup: the folder is root’s again' "edge.json $(stat -c '%U %a' /etc/candor-edge/edge.json)"

/opt/candor/scripts/candor.ts setup --reopen >/dev/null
until_true 120 is setup active
# As a page that was taken over.
of_page() { awk -v uid="$(id -u candor-setup)" '/^Uid:/ && $2 == uid { n++ } END { print n + 0 }' /proc/[0-9]*/status 2>/dev/null; }
as_page() { setpriv --reuid=candor-setup --regid=candor-setup --clear-groups "$@"; }
as_page ln -s /etc/shadow /etc/candor-edge/camera-login
as_page mkdir /etc/candor-edge/settings.kept.json
as_page ln -s /etc/candor-cloud/cloud.json /etc/candor-edge/settings.kept.json/settings.json
left="$(find /etc/candor-edge/ -type l | wc -l)"
kill -STOP "$(show setup MainPID)"
hung=$SECONDS
until_true 180 is edge active
[ ! -e /etc/candor-edge/set-up ] && ! is setup active && [ "$(owner key.pem)" = root ]; held=$?
check 'setup: a page that hangs is ended, and the unit is a camera again' "$((SECONDS - hung)) s, edge $(show edge ActiveState), setup $(show setup ActiveState)"

[ "$left" -eq 2 ] && [ "$(find /etc/candor-edge/ -type l | wc -l)" -eq 0 ]; held=$?
check 'setup: no link that the page has left is there when the camera starts' "$left, then $(find /etc/candor-edge/ -type l | wc -l)"

# As a power cut leaves it while the page is open, and as if too little time had been left to take the folder back.
systemctl stop candor-edge
ln -s /etc/shadow /etc/candor-edge/camera-login
chown -h candor-setup: /etc/candor-edge/ /etc/candor-edge/camera-login
systemctl start --no-block candor-edge
until_true 120 is edge active
[ "$(owner .)" = root ] && [ ! -L /etc/candor-edge/camera-login ] && [ "$(show edge NRestarts)" -ge 1 ]; held=$?
check 'edge: it starts by no credentials of a folder that is the page’s' "$(owner .)'s, $(show edge NRestarts) restarts"

# The page's program is killed while a process that it has left behind goes on planting links.
systemctl stop candor-edge
/opt/candor/scripts/candor.ts setup --reopen >/dev/null
until_true 120 is setup active
as_page sh -c 'while :; do ln -sfT /etc/shadow /etc/candor-edge/camera-login; done' 2>/dev/null &
until_true 20 test -L /etc/candor-edge/camera-login; planted=$?
systemctl kill --signal=KILL --kill-whom=main candor-setup
until_true 120 is edge active
[ "$planted" -eq 0 ] && [ "$(owner .)" = root ] && [ "$(find /etc/candor-edge/ -type l | wc -l)" -eq 0 ] && [ "$(of_page)" -eq 0 ]; held=$?
check 'setup: what lives of a page is ended before root takes its folder back' "$(find /etc/candor-edge/ -type l | wc -l) links in a folder of $(owner .), $(of_page) processes"

# As a power cut leaves it between the two renames of an enrolment, and systemd-tmpfiles behind that.
systemctl stop candor-edge candor-setup.timer candor-prepare
cp -a /etc/candor-edge /etc/candor-edge.next
mv /etc/candor-edge /etc/candor-edge.before
mkdir -m 700 /etc/candor-edge
systemctl start --no-block candor-setup.timer candor-edge
until_true 120 is edge active
sleep 3
is edge active && ! is setup active && [ ! -e /etc/candor-edge.next ] && [ ! -e /etc/candor-edge.before ]; held=$?
check 'prepare: an enrolment that was cut is finished, and no page opens' "edge $(show edge ActiveState), setup $(show setup ActiveState), $(ls -d /etc/candor-edge* | wc -l) folder"

systemctl stop candor-edge candor-setup.timer
mv /etc/candor-edge /etc/candor-edge.kept && mkdir -m 700 /etc/candor-edge
systemctl start candor-setup.timer
until_true 60 is setup active
ask POST /api/login "{\"code\":\"$(code)\"}" >/dev/null && [ -e /etc/candor-edge/set-up ]; held=$?
check 'setup: a unit without a configuration opens it by itself' "$(ask GET /api/state | head -c 40)"
systemctl stop candor-setup
rm -rf /etc/candor-edge && mv /etc/candor-edge.kept /etc/candor-edge

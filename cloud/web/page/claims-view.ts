/** Units that ask to become cameras: compare the fingerprint with what the unit shows, then approve or reject. Called by fleet-view.ts. */
import { button, duration, el } from './dom.ts'
import { approve, endClaim, type PageClaim } from './fleet-api.ts'

export interface ClaimsDeps {
  token: () => string
  mayDecide: boolean
  /** Shows what went wrong, or nothing, and everything anew. */
  run: (work: () => Promise<void>) => Promise<void>
}

export function claimCards(claims: readonly PageClaim[], deps: ClaimsDeps): HTMLElement | null {
  if (claims.length === 0) return null
  return el(
    'section',
    { class: 'claims', 'aria-label': 'Units that ask to become cameras' },
    el('h2', {}, 'Units that ask'),
    ...claims.map((claim) => card(claim, deps)),
  )
}

function card(claim: PageClaim, { token, mayDecide, run }: ClaimsDeps): HTMLElement {
  const { camera, alarm, misuses, fingerprint } = claim
  const asked = claim.askedAtMs === null ? '' : `asked ${duration(Date.now() - claim.askedAtMs)} ago`
  const from = claim.source === null ? '' : ` from ${claim.source}`
  const place = [claim.site, claim.replaces ? 'in the place of the camera that is registered' : null]
  const made = el('article', { class: 'panel claim' })
  made.dataset.camera = camera
  made.append(
    el('h3', {}, camera),
    el('p', { class: 'note' }, [...place, `claim by ${claim.madeBy}`].filter((part) => part !== null).join(', ')),
  )
  if (claim.state === 'asked') {
    made.append(
      el('p', {}, `${asked}${from}. It shows this fingerprint:`),
      el('p', {}, el('code', { class: 'fingerprint' }, fingerprint ?? '')),
    )
  }
  if (alarm || misuses > 0) {
    made.append(
      el(
        'p',
        { class: 'warning' },
        `Another key has used this claim (${misuses} ${misuses === 1 ? 'time' : 'times'}): somebody else has its code. Reject the unit, and find out who had it.`,
      ),
    )
  }
  if (!mayDecide) return made
  const decisions = el('div', { class: 'decisions' })
  if (claim.state === 'asked' && misuses === 0 && fingerprint !== null) {
    const id = `compared-${claim.claimId}`
    const compared = el('input', { type: 'checkbox', id })
    const yes = button('Approve', 'primary', () => run(() => approve(token(), camera, fingerprint)))
    yes.classList.add('approve')
    yes.disabled = true
    compared.addEventListener('change', () => {
      yes.disabled = !compared.checked
    })
    made.append(
      el('label', { for: id, class: 'check' }, compared, 'I have compared it with what the unit itself shows'),
    )
    decisions.append(yes)
  }
  if (claim.state === 'asked') {
    decisions.append(button('Reject', 'quiet', () => run(() => endClaim(token(), camera, 'reject'))))
  }
  if (alarm) {
    decisions.append(
      button('End the claim and its alarm', 'quiet', () => run(() => endClaim(token(), camera, 'revoke'))),
    )
  }
  made.append(decisions)
  return made
}

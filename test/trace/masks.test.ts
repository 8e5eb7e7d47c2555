import assert from 'node:assert/strict'
import { test } from 'node:test'
import { masked } from '../../services/trace/masks.ts'

test('a text that nobody has named as harmless is masked, a field of tomorrow too', () => {
  assert.deepEqual(
    masked({ acquisition: { crawler: 'c/1', newField: 'secret' }, newGroup: { a: ['secret'] }, status: 5 }),
    {
      acquisition: { crawler: 'c/1', newField: '…(masked, 6 characters)' },
      newGroup: { a: ['…(masked, 6 characters)'] },
      status: 5,
    },
  )
})

test('a harmless field with a URL in it is masked, and says that it is one', () => {
  assert.deepEqual(masked({ rights: { licence: 'https://example.org/licence', robots: 'noai' } }), {
    rights: { licence: 'https://…(masked, 27 characters)', robots: 'noai' },
  })
})

test('a name in extra that is no plain name is masked', () => {
  assert.deepEqual(masked({ extra: { 'https://example.org/x': '1', 'manifest.price': '2' } }), {
    extra: {
      'https://…(masked, 21 characters)': '…(masked, 1 characters)',
      'manifest.price': '…(masked, 1 characters)',
    },
  })
})
